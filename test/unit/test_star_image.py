# SPDX-License-Identifier: Apache-2.0
"""Gray images from messages of every layout and from picture files; bad ones are refused."""

from __future__ import annotations

import array
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sensor_msgs.msg import Image

from meta_repo_ros.starnav.image import (
    ENCODINGS,
    ImageError,
    check,
    decode,
    full_scale,
    read_picture,
)


@dataclass
class Fields:
    """The fields of sensor_msgs/Image, of any host."""

    height: int
    width: int
    encoding: str
    is_bigendian: int
    step: int
    data: Any


def picture(height: int = 20, width: int = 33, kind: Any = np.uint16) -> np.ndarray:
    rng = np.random.default_rng(height * width)
    return rng.integers(0, np.iinfo(kind).max, (height, width)).astype(kind)


def message(pixels: np.ndarray, encoding: str = '', *, big: bool = False, pad: int = 0) -> Fields:
    rows = pixels.astype('>u2' if big else '<u2') if pixels.dtype == np.uint16 else pixels
    raw = rows.reshape(len(pixels), -1).view(np.uint8).reshape(len(pixels), -1)
    raw = np.pad(raw, ((0, 0), (0, pad)))
    name = encoding or ('mono16' if pixels.dtype == np.uint16 else 'mono8')
    data = raw.tobytes()
    return Fields(len(pixels), pixels.shape[1], name, int(big), raw.shape[1], data)


@settings(deadline=None, max_examples=40)
@given(
    height=st.integers(16, 40),
    width=st.integers(16, 40),
    big=st.booleans(),
    pad=st.integers(0, 4),
    kind=st.sampled_from([np.uint8, np.uint16]),
    last=st.booleans(),
)
def test_every_layout_gives_the_same_pixels(
    *, height: int, width: int, big: bool, pad: int, kind: Any, last: bool
) -> None:
    pixels = picture(height, width, kind)
    padding = pad * pixels.itemsize
    fields = message(pixels, big=big, pad=padding)
    if last and padding:  # the last row need not be padded
        fields.data = fields.data[:-padding]
    decoded = decode(fields)
    assert decoded.pixels.dtype == kind
    assert np.array_equal(decoded.pixels, pixels)
    assert not decoded.note


@pytest.mark.parametrize('wrap', [bytes, bytearray, memoryview, list, 'array', 'numpy'])
def test_every_host_keeps_data_in_its_own_type(wrap: Any) -> None:
    pixels = picture()
    fields = message(pixels)
    kinds = {'array': lambda b: array.array('B', b), 'numpy': lambda b: np.frombuffer(b, np.uint8)}
    fields.data = kinds.get(wrap, wrap)(fields.data)
    assert np.array_equal(decode(fields).pixels, pixels)


def test_native_image_is_not_copied() -> None:
    data = np.frombuffer(message(picture()).data, np.uint8)
    fields = message(picture())
    fields.data = data
    assert np.shares_memory(decode(fields).pixels, data)


def test_ros_message_is_read() -> None:
    pixels = picture()
    raw = message(pixels)
    image = Image(height=raw.height, width=raw.width, encoding='mono16', step=raw.step)
    image.data = raw.data
    assert np.array_equal(decode(image).pixels, pixels)


@pytest.mark.parametrize('encoding', [name for name, (_, n, _) in ENCODINGS.items() if n > 1])
def test_colour_is_made_gray(encoding: str) -> None:
    size, channels, order = ENCODINGS[encoding]
    kind = np.uint8 if size == 1 else np.uint16
    gray = picture(18, 17, kind)
    cube = np.repeat(gray[:, :, None], channels, axis=2)
    decoded = decode(message(cube, encoding))
    assert decoded.note == 'gray stored as colour'
    assert np.array_equal(decoded.pixels, gray)
    cube[:, :, 0 if order == 'bgr' else 2] = 0
    decoded = decode(message(cube, encoding))
    assert decoded.note == 'colour made gray'
    # blue has the least weight
    assert np.abs(decoded.pixels - 0.886 * gray).max() <= 2.0 + 1e-4 * np.iinfo(kind).max


def test_bayer_pattern_goes_and_stars_stay_in_place() -> None:
    v, u = np.mgrid[0:32, 0:32]
    star = 3000.0 * np.exp(-((u - 15.3) ** 2 + (v - 16.2) ** 2) / (2 * 2.0**2))
    colour = np.where((u % 2 == 0) & (v % 2 == 0), 1.4, np.where((u % 2) & (v % 2), 0.6, 1.0))
    pixels = np.rint(500.0 * colour + star * colour).astype(np.uint16)
    decoded = decode(message(pixels, 'bayer_rggb16'))
    assert 'Bayer' in decoded.note
    gray = decoded.pixels.astype(float)
    assert np.ptp(gray[2:6, 2:6]) <= 3.0
    light = gray[8:25, 7:24] - 500.0
    assert (light * u[8:25, 7:24]).sum() / light.sum() == pytest.approx(15.3, abs=0.05)
    assert (light * v[8:25, 7:24]).sum() / light.sum() == pytest.approx(16.2, abs=0.05)


@pytest.mark.parametrize(
    ('change', 'says'),
    [
        ({'data': b'\0' * 100}, 'truncated: 100 bytes'),
        ({'data': b''}, 'truncated: 0 bytes'),
        ({'data': b'\0' * 5000}, 'more than 20 rows'),
        ({'encoding': 'mono8'}, 'should be mono16'),
        ({'encoding': 'bgr8'}, 'step is 66 bytes'),
        ({'encoding': '32FC1'}, "'32FC1' is not known"),
        ({'encoding': ''}, "'' is not known"),
        ({'encoding': 'yuv422'}, 'mono16 or mono8'),
        ({'step': 0}, 'step is 0 bytes'),
        ({'step': 65}, 'step is 65 bytes'),
        ({'step': 67}, 'odd'),
        ({'height': 0}, 'no pixels'),
        ({'width': 0}, 'no pixels'),
        ({'height': 19}, 'height, step or encoding'),
        ({'height': 8}, 'at least 16x16'),
        ({'width': 70000, 'step': 140000}, 'at most'),
    ],
)
def test_bad_message_is_refused_with_a_reason(change: dict[str, Any], says: str) -> None:
    fields = message(picture())
    for name, value in change.items():
        setattr(fields, name, value)
    with pytest.raises(ImageError, match=says):
        decode(fields)


@pytest.mark.parametrize('suffix', ['.png', '.tiff'])
@pytest.mark.parametrize('kind', [np.uint8, np.uint16])
def test_picture_files_keep_their_counts(tmp_path: Path, suffix: str, kind: Any) -> None:
    pixels = picture(kind=kind)
    path = tmp_path / f'sky{suffix}'
    assert cv2.imwrite(str(path), pixels)
    assert np.array_equal(read_picture(path).pixels, pixels)


def test_colour_photo_is_made_gray(tmp_path: Path) -> None:
    path = tmp_path / 'sky.jpg'
    cube = np.zeros((40, 50, 3), np.uint8)
    cube[:, :, 1] = 100
    assert cv2.imwrite(str(path), cube)
    decoded = read_picture(path)
    assert decoded.note == 'colour made gray'
    assert decoded.pixels.shape == (40, 50)
    assert abs(float(decoded.pixels.mean()) - 58.7) < 2.0


@pytest.mark.parametrize(
    ('name', 'content', 'says'),
    [
        ('none.png', None, 'no such file'),
        ('empty.png', b'', 'is empty'),
        ('text.png', b'not a picture at all', 'not a picture'),
        ('sky.fits', b'SIMPLE  =', 'FITS files are not read'),
        ('.', None, 'is a directory'),
    ],
)
def test_bad_file_is_refused_with_a_reason(
    tmp_path: Path, name: str, content: bytes | None, says: str
) -> None:
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ImageError, match=says):
        read_picture(path)


def test_cut_short_file_is_refused(tmp_path: Path) -> None:
    whole = tmp_path / 'whole.png'
    cv2.imwrite(str(whole), picture(200, 200))
    short = tmp_path / 'short.png'
    short.write_bytes(whole.read_bytes()[:500])
    with pytest.raises(ImageError, match=r'short\.png'):
        read_picture(short)


def test_float_and_tiny_pictures_are_refused(tmp_path: Path) -> None:
    path = tmp_path / 'float.tiff'
    cv2.imwrite(str(path), np.zeros((20, 20), np.float32))
    with pytest.raises(ImageError, match='float32'):
        read_picture(path)
    path = tmp_path / 'tiny.png'
    cv2.imwrite(str(path), np.zeros((5, 20), np.uint8))
    with pytest.raises(ImageError, match='at least 16x16'):
        read_picture(path)


@pytest.mark.parametrize(
    'image', [np.zeros((20, 20)), np.zeros((20, 20, 3), np.uint8), [[1]], np.zeros(20, np.uint8)]
)
def test_detection_takes_gray_integers_only(image: Any) -> None:
    with pytest.raises(ImageError):
        check(image)


@pytest.mark.parametrize(
    ('kind', 'top', 'expected'),
    [
        (np.uint8, 12, 255),
        (np.uint16, 65535, 65535),
        (np.uint16, 65520, 65520),  # 12 bits at the upper end of 16
        (np.uint16, 4095, 4095),
        (np.uint16, 1023, 1023),
        (np.uint16, 16383, 16383),
        (np.uint16, 30000, 65535),
    ],
)
def test_end_of_scale_is_seen(kind: Any, top: int, expected: int) -> None:
    image = np.zeros((20, 20), kind)
    image[3, 3] = top
    assert full_scale(image) == expected
    assert math.isfinite(full_scale(image))
