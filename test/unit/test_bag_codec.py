# SPDX-License-Identifier: Apache-2.0
"""CDR without rclpy is what rclpy reads and writes; definitions and hashes are the installed."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.serialization import deserialize_message, serialize_message
from rosbags.interfaces import Nodetype

from meta_repo_ros.replay import definitions
from meta_repo_ros.replay.codec import Codec, installed_codec, type_name

TYPES = [
    'std_msgs/msg/Empty',
    'sensor_msgs/msg/Imu',
    'sensor_msgs/msg/NavSatFix',
    'sensor_msgs/msg/PointCloud2',
    'nav_msgs/msg/Odometry',
    'diagnostic_msgs/msg/DiagnosticArray',
    'visualization_msgs/msg/Marker',
    'rcl_interfaces/msg/ParameterValue',
    'meta_repo_ros/msg/SampleBlock',
    'meta_repo_ros/msg/SwarmStatus',
    'meta_repo_ros/msg/AttitudeUpdate',
]
FLOATS = {'float32': st.floats(width=32, allow_nan=False), 'float64': st.floats(allow_nan=False)}
TEXT = st.text(st.characters(exclude_categories=['Cs'], exclude_characters='\0'), max_size=12)


class GeneralCodec(Codec):
    """One that takes no short cut."""

    def layout(self, name: str) -> None:
        del name


def message_class(name: str) -> Any:
    package, kind, short = name.split('/')
    return getattr(importlib.import_module(f'{package}.{kind}'), short)


def base_values(base: str) -> st.SearchStrategy[Any]:
    if base in FLOATS:
        return FLOATS[base]
    if base == 'bool':
        return st.booleans()
    if base == 'string':
        return TEXT
    if base in {'byte', 'octet'}:
        return st.binary(min_size=1, max_size=1)
    if base == 'char':
        return st.integers(0, 255)
    low, high = np.iinfo(base).min, np.iinfo(base).max
    return st.integers(int(low), int(high))


def messages(name: str) -> st.SearchStrategy[Any]:
    types = definitions.ours(name)
    assert types is not None
    cls = message_class(name)
    names = cls.get_fields_and_field_types()
    fields = {n: d for n, d in types.store.fielddefs[name][1] if n in names}
    return st.builds(cls, **{field: values(what) for field, what in fields.items()})


def values(description: Any) -> st.SearchStrategy[Any]:
    kind, what = description
    if kind == Nodetype.BASE:
        return base_values(what[0])
    if kind == Nodetype.NAME:
        return messages(what)
    element, length = what
    inner = values(element)
    if kind == Nodetype.ARRAY:
        rows = st.lists(inner, min_size=length, max_size=length)
        is_number = element[0] == Nodetype.BASE and element[1][0] in {*FLOATS, 'uint8', 'int32'}
        return rows.map(lambda row: np.array(row, element[1][0])) if is_number else rows
    return st.lists(inner, max_size=min(length or 3, 3))


@pytest.mark.parametrize('name', TYPES)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_round_trip_with_rclpy(name: str, data: st.DataObject) -> None:
    message = data.draw(messages(name))
    codec = installed_codec(name)
    assert type_name(message) == name
    written = codec.serialise(message, name)
    assert deserialize_message(written, type(message)) == deserialize_message(
        serialize_message(message), type(message)
    )
    # What rclpy wrote is read here, and written again as the same bytes.
    read = codec.deserialise(bytes(serialize_message(message)), name)
    assert codec.serialise(read, name) == written


@pytest.mark.parametrize('name', [name for name in TYPES if installed_codec(name).layout(name)])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_layout_is_the_general_way_in_short(name: str, data: st.DataObject) -> None:
    message = data.draw(messages(name))
    codec = installed_codec(name)
    layout = codec.layout(name)
    assert layout is not None
    types = definitions.ours(name)
    assert types is not None
    general = GeneralCodec(types.store)
    written = general.serialise(message, name)
    packed = layout.pack(message)
    # None is "not mine": arrays of another type than the message's own
    assert packed in {written, None}
    assert packed is not None or name != 'sensor_msgs/msg/Imu'
    assert repr(layout.unpack(written)) == repr(general.deserialise(written, name))


@pytest.mark.parametrize('name', TYPES)
def test_hash_of_the_definition_is_the_installed_one(name: str) -> None:
    definition = definitions.installed(name)
    types = definitions.ours(name)
    assert definition is not None
    assert types is not None
    assert definition.hash == types.hash(name)
    assert definition.hash.startswith('RIHS01_')


def test_what_does_not_fit_is_refused() -> None:
    codec = installed_codec('sensor_msgs/msg/Imu')
    text = message_class('std_msgs/msg/String')(data='x')
    with pytest.raises(TypeError, match='not a sensor_msgs/msg/Imu'):
        codec.serialise(text, 'sensor_msgs/msg/Imu')
    with pytest.raises(ValueError, match='sensor_msgs/msg/Imu'):
        codec.deserialise(b'\0\1\0\0too short', 'sensor_msgs/msg/Imu')
    with pytest.raises(TypeError, match='not a message'):
        type_name(3)
    with pytest.raises(ValueError, match='not installed'):
        installed_codec('nobody_msgs/msg/Nothing')
