"""Masks kept by the code of commit fb94fdf are gone on with, and written as it wrote them."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image
from support.golden import FOLDER

from dextr.annotation import CocoWriter, FolderWriter, VocWriter, annotate, read_points

OLD = FOLDER / "before_house"


class Asleep:
    """A predictor that must not be asked."""

    size, relax, threshold, pieces = 32, 10, 0.8, 0.0


@pytest.fixture
def points():
    return read_points(OLD / "points.csv")


@pytest.fixture
def found(points, tmp_path):
    """What was kept."""
    shutil.copytree(OLD / "images", tmp_path / "images")
    for file in (tmp_path / "images").rglob("*.png"):
        os.utime(file, ns=(10**18, 10**18))
    images = annotate(tmp_path / "images", points.objects, Asleep(), OLD / "parts", "network")
    return list(images)


def test_what_was_wrong_is_kept_too(found):
    assert [len(image.objects) for image in found] == [2, 1]
    assert "point (99, 1) lies outside the image of 16 x 12 pixels" in found[0].problems[0].reason


@pytest.mark.parametrize(("name", "options"), [("rle", ()), ("polygons", (True, 1.0))])
def test_coco_to_the_byte(points, found, tmp_path, name, options):
    path = tmp_path / "instances.json"
    CocoWriter(path, points.categories, points.image_ids, *options).write(found)
    old = (OLD / "annotated" / f"{name}.json").read_bytes()
    assert path.read_bytes() == old


@pytest.mark.filterwarnings("ignore:not among VOC's classes")
@pytest.mark.parametrize("kind", ["voc", "png"])
def test_label_maps_to_the_pixel(points, found, tmp_path, kind):
    images, out = tmp_path / "images", tmp_path / "out"
    if kind == "voc":
        VocWriter(out, images, points, "val").write(found)
    else:
        FolderWriter(out, images, points).write(found)
    old = OLD / "annotated" / kind
    files = [path.relative_to(old) for path in old.rglob("*.*")]
    assert len(files) == 5
    for file in files:
        if file.suffix == ".txt":
            assert (out / file).read_text() == (old / file).read_text()
        else:
            with Image.open(out / file) as ours, Image.open(old / file) as theirs:
                assert ours.mode == theirs.mode
                assert ours.getpalette() == theirs.getpalette()
                np.testing.assert_array_equal(np.asarray(ours), np.asarray(theirs))
