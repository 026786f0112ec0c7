# SPDX-License-Identifier: Apache-2.0
"""Gray images from messages and picture files; errors are for people.

Messages are read by the field names of ``sensor_msgs/Image``; what needs no change is a view of
the message's own data.
"""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8] | NDArray[np.uint16]

LEAST_SIDE = 16
LARGEST_SIDE = 65535
# encoding: bytes of a sample, channels, how to make it gray
ENCODINGS: dict[str, tuple[int, int, str]] = {
    'mono8': (1, 1, ''),
    '8UC1': (1, 1, ''),
    'mono16': (2, 1, ''),
    '16UC1': (2, 1, ''),
    'bgr8': (1, 3, 'bgr'),
    '8UC3': (1, 3, 'bgr'),
    'rgb8': (1, 3, 'rgb'),
    'bgra8': (1, 4, 'bgr'),
    '8UC4': (1, 4, 'bgr'),
    'rgba8': (1, 4, 'rgb'),
    'bgr16': (2, 3, 'bgr'),
    '16UC3': (2, 3, 'bgr'),
    'rgb16': (2, 3, 'rgb'),
    'bgra16': (2, 4, 'bgr'),
    'rgba16': (2, 4, 'rgb'),
    'bayer_rggb8': (1, 1, 'bayer'),
    'bayer_bggr8': (1, 1, 'bayer'),
    'bayer_gbrg8': (1, 1, 'bayer'),
    'bayer_grbg8': (1, 1, 'bayer'),
    'bayer_rggb16': (2, 1, 'bayer'),
    'bayer_bggr16': (2, 1, 'bayer'),
    'bayer_gbrg16': (2, 1, 'bayer'),
    'bayer_grbg16': (2, 1, 'bayer'),
}
_BIT_DEPTHS = (10, 12, 14)


class ImageError(ValueError):
    """An image that cannot be read; the text says what is wrong and what would be right."""


@dataclass(frozen=True)
class Decoded:
    """A gray image and how it came about.

    Attributes:
        pixels: (h, w) uint8 or uint16, in the byte order of this machine.
        note: what was changed ('' where nothing), such as ``colour made gray``.
    """

    pixels: Image
    note: str = ''


def decode(message: Any) -> Decoded:
    """A gray image from the fields of a ``sensor_msgs/Image``.

    Args:
        message: has height, width, encoding, is_bigendian, step and data (bytes, array or numpy).

    Raises:
        ImageError: no pixels, unknown encoding, wrong step, truncated data.
    """
    height, width, step = int(message.height), int(message.width), int(message.step)
    encoding = str(message.encoding)
    if encoding not in ENCODINGS:
        known = ', '.join(ENCODINGS)
        raise ImageError(
            f'image encoding {encoding!r} is not known: the star camera should give mono16 or '
            f'mono8 (taken are {known})'
        )
    size, channels, kind = ENCODINGS[encoding]
    _check_size(height, width)
    row = width * channels * size
    if step < row:
        raise ImageError(
            f'image step is {step} bytes, but a row of {width} pixels in {encoding} has {row}'
        )
    if size == 1 and channels == 1 and step == 2 * row:
        raise ImageError(
            f'image step is {step} bytes, twice a row of {width} pixels in {encoding}: the data '
            'have 16 bits, so the encoding should be mono16'
        )
    if size == 2 and step % 2:
        raise ImageError(f'image step is {step} bytes: odd, where {encoding} has 2 bytes a sample')
    data = _flat(message.data)
    # The last row need not be padded.
    needed = step * (height - 1) + row
    if data.size < needed:
        raise ImageError(
            f'image data is truncated: {data.size} bytes, but {height} rows of {step} bytes '
            f'({encoding}, {width}x{height}) have {needed}'
        )
    if data.size > step * height:
        raise ImageError(
            f'image data has {data.size} bytes, {data.size - step * height} more than {height} '
            f'rows of {step} bytes: height, step or encoding is wrong'
        )
    rows = np.lib.stride_tricks.as_strided(data, (height, row), (step, 1), writeable=False)
    if size == 2:
        big = bool(message.is_bigendian)
        samples = rows.view('>u2' if big else '<u2')
        if big != (sys.byteorder == 'big'):
            samples = samples.astype(np.uint16)
        else:
            samples = samples.view(np.uint16)
    else:
        samples = rows
    return _to_gray(samples, width, channels, kind)


def read_picture(path: str | Path) -> Decoded:
    """A gray image from a picture file (TIFF, PNG, JPEG, BMP, ...), 8 or 16 bit, colour or gray.

    Raises:
        ImageError: no such file, not a picture, too small.
    """
    path = Path(path)
    if not path.exists():
        raise ImageError(f'{path}: no such file')
    if path.is_dir():
        raise ImageError(f'{path} is a directory: name the picture in it')
    if path.suffix.lower() in ('.fits', '.fit', '.fts'):
        raise ImageError(f'{path}: FITS files are not read; convert it to a 16-bit TIFF or PNG')
    try:
        content = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise ImageError(f'{path}: {error.strerror}') from error
    if not content.size:
        raise ImageError(f'{path}: the file is empty')
    picture = None
    try:
        picture = cv2.imdecode(content, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ImageError(f'{path}: {str(error.err).strip() or "cannot be decoded"}') from error
    if picture is None:
        raise ImageError(f'{path}: not a picture that can be read (TIFF, PNG, JPEG, BMP, WebP)')
    if picture.dtype not in (np.uint8, np.uint16):
        raise ImageError(f'{path}: pixels are {picture.dtype}; give 8 or 16 bit unsigned integers')
    try:
        _check_size(picture.shape[0], picture.shape[1])
    except ImageError as error:
        raise ImageError(f'{path}: {error}') from error
    channels = 1 if picture.ndim == 2 else picture.shape[2]
    flat = picture.reshape(picture.shape[0], -1)
    return _to_gray(flat, picture.shape[1], channels, 'bgr' if channels >= 3 else '')


def check(image: Any) -> Image:
    """The image, if detection can take it.

    Raises:
        ImageError: not two-dimensional, not of 8 or 16 bits, too small.
    """
    if not isinstance(image, np.ndarray) or image.ndim != 2:
        shape = getattr(image, 'shape', type(image).__name__)
        raise ImageError(f'a gray image of two dimensions is needed, not {shape}')
    if image.dtype not in (np.uint8, np.uint16):
        raise ImageError(f'pixels are {image.dtype}; 8 or 16 bit unsigned integers are needed')
    _check_size(*image.shape)
    return image


def full_scale(image: Image, maximum: int | None = None) -> int:
    """Largest count the camera could give: of the type, or of 10, 12 or 14 bits in 16.

    Args:
        image: uint8 or uint16.
        maximum: largest pixel, where known already.
    """
    if image.dtype == np.uint8:
        return 255
    top = int(image.max()) if maximum is None else maximum
    for bits in _BIT_DEPTHS:
        if (1 << bits) - 2 <= top <= (1 << bits):
            return top
    # Left-justified samples end at the top of 16 bits less the empty low bits.
    return top if top >= 65535 - 63 else 65535


def _check_size(height: int, width: int) -> None:
    if min(height, width) <= 0:
        raise ImageError(f'the image has no pixels: {width}x{height}')
    if min(height, width) < LEAST_SIDE:
        raise ImageError(
            f'the image has {width}x{height} pixels; at least {LEAST_SIDE}x{LEAST_SIDE} are needed'
        )
    if max(height, width) > LARGEST_SIDE:
        raise ImageError(
            f'the image has {width}x{height} pixels; at most {LARGEST_SIDE} a side are taken'
        )


def _flat(data: Any) -> NDArray[np.uint8]:
    """Bytes of a message as a flat array, without a copy where the host gives a buffer."""
    if isinstance(data, np.ndarray):
        array = np.ascontiguousarray(data).reshape(-1)
        return array if array.dtype == np.uint8 else array.view(np.uint8)
    try:
        return np.frombuffer(data, np.uint8)
    except TypeError:
        return np.asarray(data, np.uint8).reshape(-1)
    except ValueError:
        return np.zeros(0, np.uint8)


def _to_gray(samples: NDArray[Any], width: int, channels: int, kind: str) -> Decoded:
    height = samples.shape[0]
    if channels == 1 and not kind:
        return Decoded(samples)
    if kind == 'bayer':
        # 1 2 1 in both directions: each output has all colours in the same shares, and stars keep
        # their place, which the mean over 2x2 cells would move by half a pixel.
        smooth = cv2.GaussianBlur(np.ascontiguousarray(samples), (3, 3), 0)
        return Decoded(smooth, 'Bayer pattern made gray')
    cube = np.ascontiguousarray(samples).reshape(height, width, channels)
    if channels == 2:
        return Decoded(np.ascontiguousarray(cube[:, :, 0]), 'alpha dropped')
    code = {
        ('bgr', 3): cv2.COLOR_BGR2GRAY,
        ('rgb', 3): cv2.COLOR_RGB2GRAY,
        ('bgr', 4): cv2.COLOR_BGRA2GRAY,
        ('rgb', 4): cv2.COLOR_RGBA2GRAY,
    }[kind, channels]
    if math.prod(cube.shape) and np.array_equal(cube[::16, ::16, 0], cube[::16, ::16, 2]):
        return Decoded(cv2.cvtColor(cube, code), 'gray stored as colour')
    return Decoded(cv2.cvtColor(cube, code), 'colour made gray')
