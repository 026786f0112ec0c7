# SPDX-License-Identifier: Apache-2.0
"""The star network: its file, its check, and running it by ``cv2.dnn``.

Made by ``scripts/train_star_detector.py``. It has convolutions without padding alone, the first one
of stride 4, and gives two logits for each cell of 4 x 4 pixels. The first says "not noise alone"
and is what false alarms are counted by; the second says "a star rather than a hot pixel, cosmic ray
or streak". What they say of a cell depends on the 24 x 24 pixels around it and on nothing else,
wherever tiles are cut.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Float32 = NDArray[np.float32]

DATA = Path(__file__).resolve().parents[1] / 'data'
NAME = 'star_detector'


class NetworkError(RuntimeError):
    """The network's file is missing, damaged, or cannot be run; the text says what to do."""


@dataclass(frozen=True)
class Network:
    """A network as read from its file; :meth:`runner` makes what runs it.

    Attributes:
        path: the ONNX file.
        stride: pixels per cell.
        field: pixels that one cell sees.
        margin: pixels from the edge of what is given to the first cell.
        lowest: to which the pixels are clipped, in units of the noise.
        highest: likewise.
        fwhm: (k,) pixels, rising.
        shape: (k,) second logits that nearly all stars of these widths reach.
        level: (n,) first logits, rising.
        rate: (n,) false detections per pixel of pure noise with a logit above ``level``.
    """

    path: Path
    stride: int
    field: int
    margin: int
    lowest: float
    highest: float
    fwhm: tuple[float, ...]
    shape: tuple[float, ...]
    level: tuple[float, ...]
    rate: tuple[float, ...]

    def threshold(self, false_per_image: float, pixels: int) -> float:
        """Logit that noise exceeds ``false_per_image`` times in an image of that many pixels.

        The logarithm of the measured rate is interpolated, and goes on as a straight line
        beyond the table.
        """
        wanted = math.log(false_per_image / pixels)
        rates = np.log(self.rate)
        levels = np.asarray(self.level)
        if wanted > rates[0]:
            return float(levels[0])
        if wanted < rates[-1]:
            slope = (levels[-1] - levels[-2]) / (rates[-1] - rates[-2])
            return float(levels[-1] + slope * (wanted - rates[-1]))
        return float(np.interp(-wanted, -rates, levels))

    def least_shape(self, fwhm: float) -> float:
        """Least second logit of a star in an image whose stars are that wide, pixels."""
        return float(np.interp(fwhm, self.fwhm, self.shape))

    def runner(self) -> Runner:
        """Something that runs the network; best kept for inputs of one size.

        Raises:
            NetworkError: this OpenCV cannot run it.
        """
        return Runner(self.path)


class Runner:
    """Runs the network. Not for two threads at once."""

    def __init__(self, path: Path) -> None:
        read = getattr(cv2.dnn, 'readNetFromONNX', None)
        if read is None:
            raise NetworkError(
                'this OpenCV was built without its module dnn, which star detection deep_learning '
                'needs: install opencv-python-headless or python3-opencv, or choose '
                'star_detection_algorithm matched_filter or threshold'
            )
        # OpenCV 5 has several engines: its classic one is three times as fast for this network,
        # and is only taken when reading from a path, not from a buffer.
        engine = getattr(cv2.dnn, 'ENGINE_CLASSIC', None)
        try:
            self._net = read(str(path)) if engine is None else read(str(path), engine)
            self(np.zeros((1, 1, 32, 32), np.float32))
        except cv2.error as error:
            raise NetworkError(
                f'OpenCV {cv2.__version__} cannot run the star network ({error.err}): '
                'choose star_detection_algorithm matched_filter or threshold, or another OpenCV'
            ) from error

    def __call__(self, batch: Float32) -> Float32:
        """Logits (n, 2, a, b) of normalised pixels (n, 1, h, w)."""
        self._net.setInput(batch)
        result: Float32 = self._net.forward()
        return result


def load(path: Path | None = None) -> Network:
    """Read and check a network; the shipped one where no path is given.

    Raises:
        NetworkError: missing or damaged.
    """
    path = path or DATA / f'{NAME}.onnx'
    about = path.with_suffix('.json')
    remedy = (
        'install the package anew, or choose star_detection_algorithm matched_filter or threshold'
    )
    try:
        content = path.read_bytes()
        provenance: dict[str, Any] = json.loads(about.read_text(encoding='utf-8'))
    except (OSError, ValueError) as error:
        raise NetworkError(f'the star network cannot be read ({error}): {remedy}') from error
    try:
        wanted = provenance['sha256']
        table, shape = provenance['noise'], provenance['shape']
        network = Network(
            path,
            int(provenance['stride']),
            int(provenance['field']),
            int(provenance['margin']),
            float(provenance['clip'][0]),
            float(provenance['clip'][1]),
            tuple(float(value) for value in shape['fwhm']),
            tuple(float(value) for value in shape['logit']),
            tuple(float(value) for value in table['level']),
            tuple(float(value) for value in table['rate']),
        )
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise NetworkError(f'{about} is damaged ({error!r}): {remedy}') from error
    found = hashlib.sha256(content).hexdigest()
    if found != wanted:
        raise NetworkError(
            f'the star network {path} is damaged: its SHA-256 is {found[:12]}..., '
            f'{about.name} says {str(wanted)[:12]}...: {remedy}'
        )
    return network
