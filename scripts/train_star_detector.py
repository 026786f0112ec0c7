# SPDX-License-Identifier: Apache-2.0
"""Trains the network of star detection ``deep_learning`` and writes it as ONNX.

Needs torch and onnx, which the package itself does not: an environment of its own with
``pip install torch onnx`` (the CPU build is enough) beside numpy, scipy and this package on the
path. Same seed, same versions and same kind of processor: same weights.

    PYTHONPATH=. python scripts/train_star_detector.py

Writes ``star_detector.onnx`` and, beside it, ``star_detector.json`` with where it comes from.
The table of thresholds is measured in the end on images of pure noise, by the detector itself.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import platform
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from scipy.ndimage import binary_dilation
from scipy.spatial import cKDTree
from torch import nn
from torch.nn import functional

from meta_repo_ros.starnav.detection import synthetic
from meta_repo_ros.starnav.detection.deep_learning import (
    DeepLearningDetector,
    standing_out,
    tiles_at,
)
from meta_repo_ros.starnav.detection.network import Network

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / 'meta_repo_ros' / 'starnav' / 'data'

STRIDE = 4  # of the first layer and so of the maps: side of a cell, pixels
CHANNELS = (32, 48)
FIELD = 24  # pixels that one logit sees
MARGIN = 10  # pixels from the edge of what is seen to the first cell
LOWEST, HIGHEST = -8.0, 40.0  # to which the image in units of noise is clipped
BATCH = 64
REUSE = 3  # steps on one batch of pieces, turned and mirrored
SHAPE = 1.5  # weight of a cell at a star or artefact in the second logit
NEGATIVE = 300.0  # weight of a cell of noise: false alarms must be far rarer than stars


def network() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(1, CHANNELS[0], 8, stride=STRIDE),
        nn.ReLU(),
        nn.Conv2d(CHANNELS[0], CHANNELS[1], 3),
        nn.ReLU(),
        nn.Conv2d(CHANNELS[1], 2, 3),
    )


def labels(truth: synthetic.Pieces, cells: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Whether each cell holds a star, and the weight of saying so wrongly, (n, 2, cells, cells).

    The first map says "not noise alone", the second "a star rather than an artefact". The first is
    not asked about cells at artefacts, the second only about these and stars.
    """
    count = len(truth.image)
    area = slice(MARGIN, MARGIN + STRIDE * cells)
    near = np.zeros((count, cells, cells), bool)
    middle = np.zeros((count, cells, cells), bool)
    centre = STRIDE * np.arange(cells) + MARGIN + (STRIDE - 1) / 2.0
    present = truth.snr > 0.0
    for k in range(truth.snr.shape[1]):
        u, v = truth.position[:, k, 0, None, None], truth.position[:, k, 1, None, None]
        distance = np.hypot(u - centre, v - centre[:, None])
        exists = present[:, k, None, None]
        near |= exists & (distance < truth.radius[:, k, None, None] + 1.5)
        middle |= (truth.snr[:, k, None, None] >= synthetic.FAINTEST) & (distance < 3.0)
    around = binary_dilation(truth.artefact, np.ones((1, 7, 7), bool))
    index = np.floor((truth.position - MARGIN + 0.5) / STRIDE).astype(np.int64)
    inside = np.all((index >= 0) & (index < cells), axis=-1)
    n, k = np.nonzero(inside & (truth.snr >= synthetic.FAINTEST))
    star = np.zeros((count, cells, cells), bool)
    star[n, index[n, k, 1], index[n, k, 0]] = True

    def any_pixel(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        parts = mask[:, area, area].reshape(count, cells, STRIDE, cells, STRIDE)
        return np.asarray(parts.any(axis=(2, 4)))

    close, on = any_pixel(around), any_pixel(truth.artefact)
    clear = star & ~close  # beside an artefact a star may be found or not
    quiet = ~near & ~close
    shape = middle & ~close
    target = np.stack([clear, shape], axis=1)
    weight = np.stack([clear + NEGATIVE * quiet, SHAPE * (shape | (on & ~near))], axis=1)
    return torch.from_numpy(target.astype(np.float32)), torch.from_numpy(weight.astype(np.float32))


def turned(value: torch.Tensor, way: int) -> torch.Tensor:
    """One of the eight ways to turn and mirror."""
    value = torch.rot90(value, way % 4, (-2, -1))
    return value.transpose(-2, -1) if way >= 4 else value


def train(arguments: argparse.Namespace) -> tuple[nn.Sequential, float]:
    torch.manual_seed(arguments.seed)
    torch.use_deterministic_algorithms(mode=True)
    torch.set_num_threads(1)
    rng = np.random.default_rng(arguments.seed)
    net = network()
    with torch.no_grad():
        net[0].weight *= 0.3  # type: ignore[operator]
        net[-1].bias[0] -= 6.0  # type: ignore[index]
    optimizer = torch.optim.Adam(net.parameters(), lr=3e-3)
    warm = arguments.steps // 50 + 1
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: (
            min(1.0, (step + 1) / warm) * 0.5 * (1.0 + math.cos(math.pi * step / arguments.steps))
        ),
    )
    start, smooth = time.process_time(), math.nan
    for step in range(arguments.steps):
        if step % REUSE == 0:
            truth = synthetic.pieces(rng, BATCH)
            whole = torch.from_numpy(np.clip(truth.image, LOWEST, HIGHEST))[:, None]
            cells = (whole.shape[-1] - FIELD) // STRIDE + 1
            target, weight = labels(truth, cells)
        way = int(rng.integers(8))
        result = net(turned(whole, way))
        loss = functional.binary_cross_entropy_with_logits(
            result, turned(target, way), turned(weight, way), reduction='sum'
        ) / max(float(target[:, 0].sum()), 1.0)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 5.0)
        optimizer.step()
        schedule.step()
        value = float(loss.detach())
        smooth = value if math.isnan(smooth) else 0.98 * smooth + 0.02 * value
        if (step + 1) % 100 == 0:
            spent = time.process_time() - start
            print(
                f'step {step + 1}/{arguments.steps}  loss {smooth:.4f}  {spent:.0f} s', flush=True
            )
    return net, smooth


def highest(rng: np.random.Generator, net: nn.Sequential, images: int) -> NDArray[np.float64]:
    """Highest logit and highest Gaussian matched filter in each of ``images`` of 1024 x 1024."""
    kernel = matched(2.8)
    result = np.empty((images, 2))
    for n in range(images):
        image = torch.from_numpy(rng.standard_normal((1, 1, 1024, 1024), np.float32))
        result[n] = (
            float(net(image)[:, 0].max()),
            float(functional.conv2d(image, kernel).max()),
        )
    return result


def matched(fwhm: float) -> torch.Tensor:
    x = torch.arange(-6, 7, dtype=torch.float32)
    line = torch.exp(-4.0 * math.log(2.0) * (x / fwhm) ** 2)
    kernel = line[:, None] * line
    return (kernel / kernel.square().sum().sqrt())[None, None]


def once_in(maxima: NDArray[np.float64], share: float) -> float:
    """Level that the maximum of an image of 4096 x 4096 exceeds with probability ``share``.

    The tail beyond the median of the maxima of 1/16 of an image is taken as exponential.
    """
    middle = float(np.median(maxima))
    scale = float(np.mean(maxima[maxima > middle] - middle))
    return middle + scale * math.log(16.0 * math.log(2.0) / share)


@torch.no_grad()
def validate(net: nn.Sequential, seed: int, images: int = 60) -> dict[str, object]:
    """Detection of stars at an expected 0.01 false ones in an image, beside a matched filter."""
    rng = np.random.default_rng(seed)
    maxima = highest(rng, net, images)
    level = [once_in(maxima[:, 0], 0.01), once_in(maxima[:, 1], 0.01)]
    found: dict[str, list[float]] = {}
    for fwhm in (1.5, 2.0, 2.8, 4.0):
        kernel = matched(2.8)
        for peak in (3.0, 4.0, 5.0, 7.0):
            number, size = 400, 48
            centre = size / 2 + rng.uniform(-2.0, 2.0, (2, number, 1))
            edges = np.arange(size + 1) - 0.5
            sigma = np.full(number, fwhm / synthetic.FWHM)
            u, v = (synthetic.profile(edges, c[:, 0], sigma) for c in centre)
            star = v[:, :, None] * u[:, None, :]
            star *= peak / star.max(axis=(1, 2), keepdims=True)
            image = star + rng.standard_normal(star.shape)
            tensor = torch.from_numpy(image.astype(np.float32))[:, None]
            ours = net(tensor)[:, 0].amax((-2, -1)).numpy()
            theirs = functional.conv2d(tensor, kernel).amax((-3, -2, -1)).numpy()
            found[f'fwhm {fwhm}, peak {peak:.0f}'] = [
                round(float((ours > level[0]).mean()), 3),
                round(float((theirs > level[1]).mean()), 3),
            ]
    return {'level': [round(x, 3) for x in level], 'found [network, matched filter]': found}


def export(net: nn.Sequential, path: Path) -> str:
    """Writes the ONNX file by its nodes, so that no exporter's version is in the bytes."""
    nodes, weights, name = [], [], 'image'
    for n, layer in enumerate(net):
        result = 'logits' if n == len(net) - 1 else f'layer{n}'
        if isinstance(layer, nn.Conv2d):
            values = {'weight': layer.weight, 'bias': layer.bias}
            for kind, value in values.items():
                array = value.detach().numpy().astype(np.float32)  # type: ignore[union-attr]
                weights.append(numpy_helper.from_array(array, f'{kind}{n}'))
            nodes.append(
                helper.make_node(
                    'Conv',
                    [name, f'weight{n}', f'bias{n}'],
                    [result],
                    kernel_shape=list(layer.kernel_size),
                    strides=list(layer.stride),
                    pads=[0, 0, 0, 0],
                )
            )
        else:
            nodes.append(helper.make_node('Relu', [name], [result]))
        name = result
    graph = helper.make_graph(
        nodes,
        'star_detector',
        [helper.make_tensor_value_info('image', TensorProto.FLOAT, ['n', 1, 'h', 'w'])],
        [helper.make_tensor_value_info('logits', TensorProto.FLOAT, ['n', 2, 'a', 'b'])],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid('', 13)], ir_version=8)
    model.producer_name = 'meta_repo_ros'
    onnx.checker.check_model(model)
    content = model.SerializeToString(deterministic=True)
    path.write_bytes(content)
    return hashlib.sha256(content).hexdigest()


def noise_table(network: Network, seed: int, images: int) -> dict[str, list[float]]:
    """Logits and how often noise alone exceeds them, per pixel, as the detector sees it."""
    rng = np.random.default_rng(seed)
    star_detector = DeepLearningDetector(network=network)
    side, found = 2048, []
    for n in range(images):
        noise = (5.0, 25.0, 100.0)[n % 3]
        image = rng.standard_normal((side, side), np.float32) * noise + 1000.0
        image = np.rint(image).astype(np.uint16)
        tiles = tiles_at(standing_out(image, 1.2), image)
        found.append(star_detector.candidates(image, tiles, -6.0).logit)
    logits = np.sort(np.concatenate(found))[::-1].astype(float)
    pixels = images * side * side
    # from once in 1e5 pixels to the ten highest
    ranks = np.unique(np.geomspace(10, min(len(logits), pixels * 1e-5), 12).astype(int))[::-1]
    return {
        'level': [round(float(logits[rank - 1]), 4) for rank in ranks],
        'rate': [float(f'{rank / pixels:.4g}') for rank in ranks],
    }


def shape_table(network: Network, seed: int, share: float = 0.01) -> dict[str, list[float]]:
    """Logit that all but ``share`` of the stars of a width reach, whatever their brightness.

    The least of those of five ranges of signal to noise, from the faintest that can be found.
    """
    rng = np.random.default_rng(seed)
    star_detector = DeepLearningDetector(network=network)
    number, size = 32, 48
    widths = (1.2, 1.4, 1.6, 1.8, 2.0, 2.4, 2.8, 3.4, 4.2, 5.5)
    logits = []
    edges = np.arange(size + 1) - 0.5
    for fwhm in widths:
        count = number * number
        centre = size / 2 + rng.uniform(-4.0, 4.0, (2, count))
        sigma = np.full(count, fwhm / synthetic.FWHM)
        u, v = (synthetic.profile(edges, c, sigma) for c in centre)
        star = v[:, :, None] * u[:, None, :]
        where = (np.indices((number, number)).reshape(2, -1)[::-1] * size + centre).T
        least = math.inf
        for faintest, brightest in pairwise((7.0, 9.0, 20.0, 80.0, 320.0, 1280.0)):
            snr = np.exp(rng.uniform(np.log(faintest), np.log(brightest), (count, 1, 1)))
            stars = star * (snr / np.sqrt((star**2).sum(axis=(1, 2), keepdims=True)))
            stars = stars.reshape(number, number, size, size).swapaxes(1, 2)
            stars = stars.reshape(number * size, number * size)
            image = 1000.0 + 25.0 * (stars + rng.standard_normal(stars.shape))
            image = np.clip(np.rint(image), 0, 65535).astype(np.uint16)
            found = star_detector.candidates(image, tiles_at(where, image), -3.0)
            distance, _ = cKDTree(where).query(found.position)
            least = min(least, float(np.quantile(found.shape[distance < 2.0], share)))
        logits.append(round(least, 3))
    return {'fwhm': list(widths), 'logit': logits}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or '').splitlines()[0])
    parser.add_argument('--steps', type=int, default=2000)
    parser.add_argument('--seed', type=int, default=20260101)
    parser.add_argument('--noise-images', type=int, default=64)
    parser.add_argument('--output', type=Path, default=DATA / 'star_detector.onnx')
    parser.add_argument(
        '--tables', action='store_true', help='only measure the tables of the weights anew'
    )
    arguments = parser.parse_args()
    about = arguments.output.with_suffix('.json')
    if arguments.tables:
        provenance = json.loads(about.read_text(encoding='utf-8'))
        if provenance['sha256'] != hashlib.sha256(arguments.output.read_bytes()).hexdigest():
            parser.error(f'{arguments.output} is not what {about} tells of')
    else:
        net, loss = train(arguments)
        measured = validate(net, arguments.seed + 1)
        print(json.dumps(measured, indent=1))
        provenance = {
            'sha256': export(net, arguments.output),
            'made_by': 'scripts/train_star_detector.py',
            'arguments': {'steps': arguments.steps, 'seed': arguments.seed},
            'synthetic_sha256': hashlib.sha256(Path(synthetic.__file__).read_bytes()).hexdigest(),
            'versions': {
                'python': platform.python_version(),
                'torch': torch.__version__,
                'numpy': np.__version__,
            },
            'date': time.strftime('%Y-%m-%d', time.gmtime()),
            'loss': round(loss, 4),
            'validation': measured,
            'stride': STRIDE,
            'field': FIELD,
            'margin': MARGIN,
            'clip': [LOWEST, HIGHEST],
        }
    raw = Network(
        *(arguments.output, STRIDE, FIELD, MARGIN, LOWEST, HIGHEST),
        *((1.0,), (-99.0,), (0.0, 1.0), (1e-6, 1e-7)),
    )
    provenance['noise'] = noise_table(raw, arguments.seed + 2, arguments.noise_images)
    provenance['shape'] = shape_table(raw, arguments.seed + 3)
    about.write_text(json.dumps(provenance, indent=2) + '\n', encoding='utf-8')
    print(f'wrote {about} and {arguments.output} ({arguments.output.stat().st_size} bytes)')


if __name__ == '__main__':
    main()
