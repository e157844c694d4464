import numpy as np
import pytest
from support.trees import make_coco, make_folder, make_voc

from dataloaders.coco import CocoInstances
from dataloaders.crops.fingerprint import _sample, changes, fingerprint
from dataloaders.folder import FolderInstances
from dataloaders.instances import CombinedInstances, Subset
from dataloaders.pascal import PascalInstances
from dataloaders.shapes import ShapesInstances


@pytest.fixture(autouse=True)
def own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DEXTR_CACHE", str(tmp_path / "cache"))


@pytest.mark.parametrize(
    ("before", "now", "said"),
    [
        ({}, {}, ""),
        ({"a": 1}, {"a": 1}, ""),
        ({"a": 1}, {}, "1 image is gone (a)"),
        ({}, {"a": 1, "b": 2}, "2 images are new (a, b)"),
        ({"a": 1}, {"a": 2}, "1 image has another photo or other objects (a)"),
        ({}, dict.fromkeys("abcd", 1), "4 images are new (a, b, c, ...)"),
    ],
)
def test_changes_in_words(before, now, said):
    assert changes(before, now) == said


def open_folder(root):
    return FolderInstances(root / "folder")


def open_coco(root):
    return CocoInstances(
        root / "coco" / "annotations" / "instances_val2017.json", root / "coco" / "val2017"
    )


def open_voc(root):
    return PascalInstances(root / "VOCdevkit", "train")


MAKERS = {
    open_folder: lambda root: make_folder(root / "folder"),
    open_coco: lambda root: make_coco(root / "coco"),
    open_voc: make_voc,
}


@pytest.mark.parametrize("opened", MAKERS, ids=lambda f: f.__name__)
def test_an_exchanged_photo_is_seen_and_moved_data_are_the_same(tmp_path, opened):
    MAKERS[opened](tmp_path / "here")
    instances = opened(tmp_path / "here")
    before = fingerprint(instances)
    assert list(before) == sorted({instances.image_id(row) for row in range(len(instances))})
    (tmp_path / "here").rename(tmp_path / "there")
    moved = opened(tmp_path / "there")
    assert fingerprint(moved) == before
    photo = moved.files_of(int(moved.index.image[0]))[0]
    photo.write_bytes(photo.read_bytes() + b"\0")
    said = changes(before, fingerprint(moved))
    assert said == f"1 image has another photo or other objects ({moved.image_id(0)})"
    # Combined and part of a set, an image is the same one.
    combined = fingerprint(CombinedInstances([moved, ShapesInstances(3)]))
    assert before.keys() <= combined.keys()
    assert {k: combined[k] for k in before} == fingerprint(moved)
    assert fingerprint(Subset(moved, np.arange(len(moved)))) == fingerprint(moved)


@pytest.mark.parametrize("place", [0, 20_000, 39_999])
def test_another_photo_of_the_same_size_is_seen(tmp_path, place):
    (tmp_path / "a").write_bytes(bytes(40_000))
    before = _sample(tmp_path / "a")
    content = bytearray(40_000)
    content[place] = 1
    (tmp_path / "a").write_bytes(content)
    assert _sample(tmp_path / "a") != before
    (tmp_path / "a").write_bytes(b"")
    assert _sample(tmp_path / "a") not in (before, _sample(tmp_path / "missing"))


def test_other_objects_of_the_same_photo_are_seen():
    shapes = ShapesInstances(6)
    fewer = Subset(shapes, np.arange(5))
    assert "image" in changes(fingerprint(shapes), fingerprint(fewer))


def test_a_photo_that_is_missing_is_another_one(tmp_path):
    make_folder(tmp_path / "folder")
    instances = open_folder(tmp_path)
    before = fingerprint(instances)
    instances.files_of(int(instances.index.image[0]))[0].unlink()
    assert "another photo" in changes(before, fingerprint(instances))
