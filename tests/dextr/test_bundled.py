"""The network that comes with the project: the file, and what it makes of a photo."""

import hashlib
import json

import cv2
import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open
from skimage import data
from support.golden import FOLDER

from dextr import iou, load_predictor
from dextr.weights import registry

CUP = [(173, 104), (408, 104), (282, 18), (220, 309)]


@pytest.fixture(scope="module")
def predictor():
    return load_predictor(device="cpu")


def test_the_file_is_the_released_one():
    digest = hashlib.sha256(registry.bundled_path().read_bytes()).hexdigest()
    assert f"sha256:{digest}" == registry.BUNDLED_CHECKSUM


def test_the_file_is_small_and_says_what_it_is():
    path = registry.bundled_path()
    assert path.stat().st_size <= 25 * 2**20
    with safe_open(path, "pt") as file:
        about = json.loads(file.metadata()["dextr"])
    assert about["network"]["backbone"] == "resnet18"
    assert about["origin"]["note"]
    assert about["threshold"] == load_predictor(device="cpu").threshold


def test_it_cuts_out_the_cup_as_before(predictor):
    expected = np.asarray(Image.open(FOLDER / "coffee_cup.png")) != 0
    assert iou(predictor.predict(data.coffee(), CUP).mask, expected) >= 0.99


def test_the_order_of_clicks_does_not_matter(predictor):
    first = predictor.predict(data.coffee(), CUP).mask
    assert np.array_equal(predictor.predict(data.coffee(), CUP[::-1]).mask, first)


def test_a_photo_from_a_camera_is_cut_out_as_a_small_one(predictor):
    """The margin grows with the object: the crop shows the same whatever the photo's size."""
    photo, times = data.coffee(), 8
    small = predictor.predict(photo, CUP).mask
    large = cv2.resize(photo, None, fx=times, fy=times, interpolation=cv2.INTER_CUBIC)
    points = (np.array(CUP) + 0.5) * times - 0.5
    found = predictor.predict(large, points).mask[times // 2 :: times, times // 2 :: times]
    assert iou(found, small) >= 0.95
