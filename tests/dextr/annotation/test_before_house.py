"""Masks kept by the code of tag before-house are gone on with, and written as it wrote them."""

import os
import shutil

import numpy as np
import pytest
from PIL import Image
from support.golden import FOLDER

from dextr.annotation.coco_writer import CocoExporter
from dextr.annotation.cut_out import cut_out
from dextr.annotation.label_map_writer import PngExporter, VocExporter
from dextr.annotation.parts import PartStore
from dextr.annotation.points_file import read_points

OLD = FOLDER / "before_house"
SETTINGS = ["network", 32, 10, 0.8]


@pytest.fixture
def points():
    return read_points(OLD / "points.csv")


@pytest.fixture
def masks(points, tmp_path):
    """What was kept; the network must not be asked."""
    shutil.copytree(OLD / "images", tmp_path / "images")
    for file in (tmp_path / "images").rglob("*.png"):
        os.utime(file, ns=(10**18, 10**18))
    by_image = {}
    for entry in points.objects:
        by_image.setdefault(entry.image, []).append(entry)
    store = PartStore(OLD / "parts", SETTINGS)
    return [cut_out(tmp_path / "images" / k, by_image[k], None, store) for k in sorted(by_image)]


def test_what_was_wrong_is_kept_too(masks):
    assert [len(image.objects) for image in masks] == [2, 1]
    assert "point (99, 1) lies outside the image of 16 x 12 pixels" in masks[0].problems[0].reason


@pytest.mark.parametrize(("name", "options"), [("rle", ()), ("polygons", (True, 1.0))])
def test_coco_to_the_byte(points, masks, tmp_path, name, options):
    exporter = CocoExporter(tmp_path, points, *options)
    exporter.finish([exporter.image(image) for image in masks])
    old = (OLD / "annotated" / f"{name}.json").read_bytes()
    assert (tmp_path / "instances.json").read_bytes() == old


@pytest.mark.filterwarnings("ignore:not among VOC's classes")
@pytest.mark.parametrize("kind", ["voc", "png"])
def test_label_maps_to_the_pixel(points, masks, tmp_path, kind):
    images, out = tmp_path / "images", tmp_path / "out"
    exporter = (
        VocExporter(out, images, points, "val")
        if kind == "voc"
        else PngExporter(out, images, points)
    )
    exporter.finish([exporter.image(image) for image in masks])
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
