import numpy as np
import pytest
from PIL import Image

from dextr.annotation.objects import AnnotatedObject
from dextr.window.layout import AnnotationFiles


def an_object(mask):
    return AnnotatedObject.of_mask(np.asarray(mask), np.array([(0.0, 0.0)]), threshold=0.5)


def random_objects(count, hw=(9, 11)):
    rng = np.random.default_rng(count)
    return [an_object(rng.random(hw) < 0.4) for _ in range(count)]


def read(path):
    with Image.open(path) as image:
        return np.asarray(image)


@pytest.mark.parametrize("hw", [(1, 1), (9, 11), (300, 2)])
def test_an_object_keeps_its_mask_exactly(hw):
    mask = np.random.default_rng(0).random(hw) < 0.5
    assert (an_object(mask).mask == mask).all()
    assert an_object(mask).mask.dtype == bool


def label_map(objects):
    """The last object of each pixel."""
    covering = [k * o.mask for k, o in enumerate(objects, 1)]
    return np.max([np.zeros((9, 11)), *covering], axis=0)


@pytest.mark.parametrize("count", [0, 1, 3, 254])
def test_label_map_shows_the_last_object_of_each_pixel(tmp_path, count):
    files = AnnotationFiles.beside(tmp_path / "a.png")
    objects = random_objects(count)
    files.save(np.zeros((9, 11, 3), np.uint8), objects)
    assert (read(files.labels) == label_map(objects)).all()


def test_more_objects_than_labels_are_refused(tmp_path):
    files = AnnotationFiles.beside(tmp_path / "a.png")
    with pytest.raises(ValueError, match="holds 254 objects, got number 255"):
        files.save(np.zeros((9, 11, 3), np.uint8), random_objects(255))
    assert list(tmp_path.iterdir()) == []


def test_save_writes_labels_masks_and_picture(tmp_path):
    files = AnnotationFiles.beside(tmp_path / "new" / "cup.png")
    objects = random_objects(2)
    files.save(np.zeros((9, 11, 3), np.uint8), objects)
    names = {"cup.png", "cup_object_001.png", "cup_object_002.png", "cup_overlay.png"}
    assert {path.name for path in (tmp_path / "new").iterdir()} == names
    assert (read(files.labels) == label_map(objects)).all()
    for number, annotated in enumerate(objects, 1):
        assert (read(files.object_mask(number)) == annotated.mask * 255).all()
    assert read(files.overlay).shape == (9, 11, 3)


def test_save_newest_adds_one_object(tmp_path):
    files = AnnotationFiles.beside(tmp_path / "cup.png")
    objects = random_objects(3)
    for count in (1, 2, 3):
        files.save_newest(objects[:count])
        assert (read(files.labels) == label_map(objects[:count])).all()
    assert (read(files.object_mask(2)) == objects[1].mask * 255).all()


def test_save_removes_masks_of_objects_that_are_gone_and_nothing_else(tmp_path):
    files = AnnotationFiles.beside(tmp_path / "cup.png")
    image = np.zeros((9, 11, 3), np.uint8)
    files.save(image, random_objects(3))
    other = tmp_path / "cup2_object_003.png"
    other.write_bytes(b"another image's")
    files.save(image, random_objects(1))
    assert files.object_mask(1).exists()
    assert not files.object_mask(2).exists()
    assert not files.object_mask(3).exists()
    assert other.exists()


def test_in_a_folder_pictures_are_sorted_by_kind(tmp_path):
    files = AnnotationFiles.in_folder(tmp_path, "cup.2")
    assert not files.exist()
    files.save(np.zeros((9, 11, 3), np.uint8), random_objects(2))
    assert files.exist()
    written = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*.png")}
    assert written == {
        "masks/cup.2.png",
        "overlays/cup.2.png",
        "objects/cup.2/001.png",
        "objects/cup.2/002.png",
    }


@pytest.mark.parametrize("name", ["cup", "cup.jpg"])
def test_only_png(tmp_path, name):
    with pytest.raises(ValueError, match=r"ends in \.png"):
        AnnotationFiles.beside(tmp_path / name)
