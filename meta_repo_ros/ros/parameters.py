# SPDX-License-Identifier: Apache-2.0
"""A parameter dataclass declared on a node: one checked snapshot, changed as a whole."""

from __future__ import annotations

import array
import math
from typing import TYPE_CHECKING, Any

from rcl_interfaces.msg import (
    FloatingPointRange,
    IntegerRange,
    ParameterDescriptor,
    SetParametersResult,
)
from rclpy.parameter import Parameter

from meta_repo_ros.core.parameters import (
    ParameterError,
    ParameterSpec,
    describe,
    from_mapping,
    to_mapping,
    updated,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rclpy.node import Node

_SCALAR = {
    bool: Parameter.Type.BOOL,
    int: Parameter.Type.INTEGER,
    float: Parameter.Type.DOUBLE,
    str: Parameter.Type.STRING,
}
_ARRAY = {
    bool: Parameter.Type.BOOL_ARRAY,
    int: Parameter.Type.INTEGER_ARRAY,
    float: Parameter.Type.DOUBLE_ARRAY,
    str: Parameter.Type.STRING_ARRAY,
}
START_SERVICES = 'start_parameter_services'
# declared by rclpy or by the base node on every node
_BUILT_IN = ('use_sim_time', 'start_type_description_service', 'qos_overrides.', START_SERVICES)


def descriptor(spec: ParameterSpec) -> ParameterDescriptor:
    """The ROS descriptor of ``spec``; float ranges have step 0, since any other rejects values."""
    text = f'{spec.description} [{spec.unit}]' if spec.unit else spec.description
    constraint = f'one of {", ".join(map(str, spec.choices))}' if spec.choices else ''
    result = ParameterDescriptor(
        name=spec.name,
        type=_type(spec).value,
        description=text,
        additional_constraints=constraint,
        read_only=spec.read_only,
    )
    if not spec.is_array and (spec.minimum is not None or spec.maximum is not None):
        low = -math.inf if spec.minimum is None else spec.minimum
        high = math.inf if spec.maximum is None else spec.maximum
        if spec.type is float:
            result.floating_point_range = [
                FloatingPointRange(from_value=float(low), to_value=float(high), step=0.0)
            ]
        elif spec.type is int:
            largest = 2**63 - 1
            result.integer_range = [
                IntegerRange(
                    from_value=int(max(low, -largest)), to_value=int(min(high, largest)), step=1
                )
            ]
    return result


class NodeParameters:
    """Parameters of one node.

    Args:
        node: the node they are declared on.
        cls: frozen dataclass of :func:`core.parameters.parameter` fields.
        apply: called with each new whole set before it is taken; a ValueError from it rejects.

    Attributes:
        value: the set in force, None where the start values could not be taken.
        problem: why the start values could not be taken, '' if they could.
        unknown: names that a parameter file gives and this node does not have.
    """

    def __init__(self, node: Node, cls: type, apply: Callable[[Any], None]) -> None:
        self._node = node
        self._cls = cls
        self._apply = apply
        self._specs = describe(cls)
        self.value: Any = None
        self.problem = ''
        given = {
            name: _plain(parameter.value)
            for name, parameter in node._parameter_overrides.items()  # noqa: SLF001 (no public way)
            if not name.startswith(_BUILT_IN)
        }
        self.unknown = tuple(sorted(set(given) - set(self._specs)))
        start = {name: value for name, value in given.items() if name in self._specs}
        self._declare(start)
        node.add_pre_set_parameters_callback(self._widen)
        node.add_on_set_parameters_callback(self._on_set)

    def _declare(self, start: dict[str, Any]) -> None:
        try:
            self.value = from_mapping(self._cls, start)
        except ParameterError as error:
            self.problem = str(error)
        values = {} if self.value is None else to_mapping(self.value)
        for name, spec in self._specs.items():
            value = _ros_value(spec, values.get(name, spec.default))
            described = descriptor(spec)
            if value is None:
                kind = _type(spec)
                self._node.declare_parameter(name, kind, described, ignore_override=True)
            else:
                self._node.declare_parameter(name, value, described, ignore_override=True)

    def _widen(self, changes: list[Parameter[Any]]) -> list[Parameter[Any]]:
        # `ros2 param set node name 10` sends an integer: take it where a float is declared, and an
        # empty list comes without a type
        return [self._widened(change) for change in changes]

    def _widened(self, change: Parameter[Any]) -> Parameter[Any]:
        spec = self._specs.get(change.name)
        if spec is not None and spec.is_array and change.value is not None and not change.value:
            return Parameter(change.name, _type(spec), [])
        if spec is None or spec.type is not float:
            return change
        if change.type_ == Parameter.Type.INTEGER and not spec.is_array:
            return Parameter(change.name, Parameter.Type.DOUBLE, float(change.value))
        if change.type_ == Parameter.Type.INTEGER_ARRAY and spec.is_array:
            values = [float(v) for v in change.value]
            return Parameter(change.name, Parameter.Type.DOUBLE_ARRAY, values)
        return change

    def _on_set(self, changes: Sequence[Parameter[Any]]) -> SetParametersResult:
        ours = {c.name: _plain(c.value) for c in changes if c.name in self._specs}
        if not ours:
            return SetParametersResult(successful=True)
        try:
            new: Any
            if self.value is None:
                new = from_mapping(self._cls, {**self._current(), **ours})
            else:
                new = updated(self.value, ours)
            self._apply(new)
        except ValueError as error:
            self._node.get_logger().warning(f'parameter change rejected: {error}')
            return SetParametersResult(successful=False, reason=str(error))
        self.value = new
        self.problem = ''
        return SetParametersResult(successful=True)

    def _current(self) -> dict[str, Any]:
        parameters = (self._node.get_parameter_or(name) for name in self._specs)
        return {p.name: _plain(p.value) for p in parameters if p.type_ != Parameter.Type.NOT_SET}


def _type(spec: ParameterSpec) -> Parameter.Type:
    return (_ARRAY if spec.is_array else _SCALAR)[spec.type]


def _ros_value(spec: ParameterSpec, value: Any) -> Any:
    if value is None or not spec.is_array:
        return value
    return list(value) or None  # an empty list has no type; declared by type instead


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, (list, array.array)) else value
