"""Cases for data sets: COCO files with odd parts, folders of odd masks, damaged MAT-files."""

from __future__ import annotations

import io
import json
import os
import random
import warnings
from pathlib import Path

import numpy as np
from fuzz.damage import damaged, replace_somewhere
from fuzz.pictures import odd_file
from PIL import Image
from scipy.io import savemat

from dataloaders.coco import CocoInstances
from dataloaders.folder import FolderInstances
from dataloaders.instances import Instances
from dataloaders.sbd import read_truth
from dextr.annotation.points_file import read_points

HW = (40, 60)
SQUARE = [[5, 5, 30, 5, 30, 30, 5, 30]]


def read(rng: random.Random, folder: Path) -> None:
    """Open one odd data set and read all of it; right is objects that have pixels.

    Raises:
        ValueError: Something in it cannot be used.
        AssertionError: The answer is not right.
    """
    os.environ["DEXTR_CACHE"] = str(folder / "cache")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # what is left out is said
        rng.choice((_coco, _folder, _mat))(rng, folder)


def _check(instances: Instances) -> None:
    for row in range(len(instances)):
        instance = instances[row]
        assert instance.mask.any()
        assert not (instance.mask & instance.void).any()


def _coco(rng: random.Random, folder: Path) -> None:
    record = {"image_id": 1, "category_id": 1, "iscrowd": 0, "segmentation": SQUARE}
    content: object = {
        "images": [{"id": 1, "file_name": "a.png", "height": HW[0], "width": HW[1]}],
        "categories": [{"id": 1, "name": "thing"}],
        "annotations": [{**record, "id": k} for k in (1, 2)],
    }
    for _ in range(rng.randrange(3)):
        content = replace_somewhere(rng, content)
    Image.fromarray(np.zeros((*HW, 3), np.uint8)).save(folder / "a.png")
    file = folder / "instances.json"
    file.write_text(json.dumps(content), encoding="utf-8", errors="surrogatepass")
    if rng.random() < 0.5:
        _check(CocoInstances(file, folder))
    else:
        for entry in read_points(file, from_masks=True).objects:
            assert entry.points.shape == (4, 2)


def _folder(rng: random.Random, folder: Path) -> None:
    for name in ("images", "masks"):
        (folder / name).mkdir()
    mask, _ = odd_file(rng, folder)
    mask.rename(folder / "masks" / "a.png")
    try:
        with Image.open(folder / "masks" / "a.png") as image:
            size = image.size
    except Exception:
        size = (7, 9)
    if size[0] * size[1] > 10**6:
        size = (7, 9)
    Image.new("RGB", size).save(folder / "images" / "a.png")
    if rng.random() < 0.05:
        (folder / "images" / "a.png").unlink()
        os.mkfifo(folder / "images" / "a.png")
    _check(FolderInstances(folder))


def _mat(rng: random.Random, folder: Path) -> None:
    labels = np.zeros(HW, np.uint8)
    labels[5:20, 5:30] = 1
    truth = {"Segmentation": labels, "Categories": np.array([[3]], np.uint8)}
    written = io.BytesIO()
    savemat(written, {"GTinst": truth}, do_compression=rng.random() < 0.5)
    file = folder / "a.mat"
    file.write_bytes(damaged(rng, written.getvalue()))
    found, categories = read_truth(file)
    assert found.ndim == 2
    assert all(1 <= number <= 20 for number in categories)
