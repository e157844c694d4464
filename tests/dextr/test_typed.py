"""The Python API as mypy sees it: `mypy` checks this file as `--strict` does, pytest runs it."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from typing_extensions import assert_type

import dataloaders
import dextr
import networks
from dextr import CropWindow, Prediction, Predictor, iou, load_predictor
from dextr.annotation.polygons import mask_to_polygons, polygons_to_mask
from dextr.common.images import ImageLike

POINTS = [(10, 30), (70, 28), (40, 5), (38, 55)]


def test_from_images_and_points_to_masks(tmp_path: Path) -> None:
    image = np.zeros((60, 80, 3), np.uint8)
    Image.fromarray(image).save(tmp_path / "photo.png")
    predictor = load_predictor("untrained", device="cpu")
    assert_type(predictor, Predictor)
    prediction = predictor.predict(tmp_path / "photo.png", POINTS)
    assert_type(prediction, Prediction)
    assert_type(prediction.mask, NDArray[np.bool_])
    assert_type(prediction.prob, NDArray[np.float32])
    assert_type(prediction.points, NDArray[np.float64])
    assert_type(prediction.window, CropWindow)
    again = predictor.predict_many(Image.fromarray(image), [np.array(POINTS)], threshold=0.5)
    assert_type(again, list[Prediction])
    images: list[ImageLike] = [image, tmp_path / "photo.png", str(tmp_path / "photo.png")]
    for predictions in predictor.predict_images(images, [[POINTS]] * 3):
        assert_type(predictions, list[Prediction])
        assert iou(predictions[0].mask, again[0].mask) == 1
    polygons = mask_to_polygons(prediction.mask)
    assert_type(polygons, list[list[float]])
    assert_type(polygons_to_mask(polygons, (60, 80)), NDArray[np.bool_])


@pytest.mark.parametrize("package", [dextr, dataloaders, networks], ids=lambda p: p.__name__)
def test_every_package_says_that_it_is_typed(package: object) -> None:
    file = getattr(package, "__file__", "")
    assert Path(file).with_name("py.typed").is_file()
