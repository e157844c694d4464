"""Cases for `Predictor.predict`: odd images, odd points, odd thresholds."""

from __future__ import annotations

import random
from collections.abc import Collection
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from fuzz.damage import NUMBERS, odd_value
from fuzz.pictures import odd_array, odd_file, odd_picture, odd_size
from PIL import Image

from dextr.predictor import Predictor
from dextr.samples import Prediction
from networks import build_network

MOST_POINTS = 3000


@lru_cache(maxsize=1)
def small_predictor() -> Predictor:
    """An untrained network of two stages on crops of 32 pixels."""
    torch.manual_seed(0)
    return Predictor(build_network("resnet18", head_width=4, stages=2), size=32, relax=10)


def predict(rng: random.Random, folder: Path) -> None:
    """Predict with one odd image and odd points; see `check_prediction` for what is right.

    Raises:
        ValueError: The input cannot be used.
        AssertionError: The answer is not right.
    """
    image, sizes = _odd_image(rng, folder)
    hw = (sizes[0] if rng.random() < 0.9 else sizes[-1]) if sizes else odd_size(rng)
    points = odd_points(rng, hw)
    threshold = rng.choice((None,) * 40 + (0, 1, 0.5, float("nan"), -1, 10**400))
    check_prediction(small_predictor().predict(image, points, threshold), sizes)


def check_prediction(found: Prediction, sizes: Collection[tuple[int, int]]) -> None:
    """See that a mask is right: the image's size, bool, in the clicks' box; probabilities in 0..1.

    `sizes` are the heights and widths the image may have.
    """
    assert found.prob.shape in sizes, f"{found.prob.shape} is none of {sizes}"
    assert found.prob.dtype == np.float32
    assert found.mask.dtype == bool
    assert np.isfinite(found.prob).all()
    assert 0 <= found.prob.min() <= found.prob.max() <= 1
    np.testing.assert_array_equal(found.mask, found.prob > found.threshold)
    (x0, y0), (x1, y1) = found.points.min(axis=0), found.points.max(axis=0)
    rows, columns = np.nonzero(found.prob)
    if len(rows):
        assert x0 - 0.5 <= columns.min() <= columns.max() <= x1 + 0.5
        assert y0 - 0.5 <= rows.min() <= rows.max() <= y1 + 0.5


def _odd_image(rng: random.Random, folder: Path) -> tuple[object, list[tuple[int, int]]]:
    """Return an image, or what is none, and the heights and widths it may have."""
    kind = rng.randrange(20)
    if kind == 0:
        return rng.choice((odd_value(rng), b"", folder, folder / "none.png", [[1, 2], [3]])), []
    if kind < 9:
        array = odd_array(rng)
        return array, [array.shape[:2]] if array.ndim > 1 else []
    if kind < 12:
        try:
            picture = odd_picture(rng)
        except OSError as error:
            raise ValueError(str(error)) from None
        return picture, [picture.size[::-1], picture.size]
    path, _ = odd_file(rng, folder)
    try:
        with Image.open(path) as opened:
            size = opened.size
    except Exception:  # what the project makes of such a file is what is tested
        return path, []
    return path, [size[::-1], size]


def odd_points(rng: random.Random, hw: tuple[int, int]) -> object:
    """Draw points: mostly four in the image, often on its rim, sometimes none at all."""
    height, width = hw
    count = rng.choice((4,) * 20 + (5, 5, 7, 3, 1, 0, 300, MOST_POINTS))
    xs = (0, -0.5, width - 1, width - 0.5, width / 2, None, None, None)
    ys = (0, -0.5, height - 1, height - 0.5, height / 2, None, None, None)
    points: list[list[object]] = [
        [_or_random(rng, rng.choice(xs), width), _or_random(rng, rng.choice(ys), height)]
        for _ in range(count)
    ]
    kind = rng.randrange(32)
    if kind == 0 and points:
        points[rng.randrange(count)][rng.randrange(2)] = rng.choice(NUMBERS)
    elif kind == 1:
        return odd_value(rng)
    elif kind == 2:
        points = points[:1] * count
    elif kind == 3 and points:
        points[rng.randrange(count)] = rng.choice(([], [1], [1, 2, 3], "xy", None, ["1", "2"]))
    elif kind == 4:
        return rng.choice((points, [points], {1: points}, set(), iter(points), str(points)))
    elif kind == 5:
        dtype = rng.choice(("float16", "int8", "int64", "uint8", "complex128", "O", "U8", "bool"))
        with np.errstate(all="ignore"):
            return np.array(points, object if dtype == "O" else None).astype(dtype)
    elif kind == 6:
        return torch.tensor(points)
    elif kind == 7:
        return np.ma.masked_array(points, mask=np.full((count, 2), True) if count else None)
    return points


def _or_random(rng: random.Random, value: float | None, length: int) -> float:
    return rng.uniform(-0.5, length - 0.5) if value is None else value
