"""Masks in a folder: what is written comes back, what others write is understood."""

import numpy as np
import pytest
from PIL import Image
from support.made import ListInstances, random_instance

from dextr.common.label_png import labels_of, palette
from dextr.evaluation.mask_folder import MaskFolder
from dextr.evaluation.mask_sources import FolderMasks
from dextr.evaluation.protocol import EvaluationSettings
from dextr.metrics import iou

SETTINGS = EvaluationSettings(thresholds=(0.5,))
COUNT = 6


@pytest.fixture
def instances():
    rng = np.random.default_rng(0)
    return ListInstances([random_instance(rng, number=k) for k in range(2, COUNT + 2)])


@pytest.fixture
def labels(instances):
    return labels_of(instances.index.object_id, instances.index.image)


@pytest.fixture
def folder(tmp_path):
    return MaskFolder(tmp_path / "masks")


def random_masks(instances, seed=1):
    rng = np.random.default_rng(seed)
    return [random_instance(rng).mask for _ in range(len(instances))]


def scores(folder, instances, labels, workers=0):
    source = FolderMasks(folder, instances, labels, SETTINGS, workers)
    return list(source.masks(range(len(instances)), lambda mask: mask.score, {}))


@pytest.mark.parametrize(
    ("object_id", "image", "expected"),
    [
        ([], [], []),
        ([1, 2, 1], [0, 0, 1], [1, 2, 1]),
        ([3, 254], [0, 1], [3, 254]),
        ([3, 255], [0, 1], [1, 1]),
        ([0, 1], [0, 0], [1, 2]),
        ([900, 7, 8, 1], [0, 0, 0, 4], [1, 2, 3, 1]),
    ],
)
def test_labels(object_id, image, expected):
    assert labels_of(np.array(object_id, int), np.array(image, int)).tolist() == expected


@pytest.mark.parametrize("workers", [0, 2])
def test_masks_of_objects_come_back(folder, instances, labels, workers):
    """They overlap, and each has a file of its own."""
    masks = random_masks(instances)
    for instance, mask in zip(instances, masks, strict=True):
        folder.write_object(instance, mask)
    found = scores(folder, instances, labels, workers)
    assert [s.iou for s in found] == [
        iou(m, i.mask, i.void) for m, i in zip(masks, instances, strict=True)
    ]
    for row, mask in enumerate(masks):
        np.testing.assert_array_equal(folder.read(instances[row], 0), mask)


@pytest.mark.parametrize("mask", [np.zeros((60, 80), bool), np.ones((60, 80), bool)])
def test_empty_and_full_masks_come_back(folder, instances, mask):
    folder.write_object(instances[0], mask)
    np.testing.assert_array_equal(folder.read(instances[0], 1) > 0.8, mask)


def test_label_maps_draw_the_smallest_on_top(folder, instances):
    large, small = np.zeros((60, 80), bool), np.zeros((60, 80), bool)
    large[10:40, 10:40] = small[20:25, 20:60] = True
    folder.write_object(instances[0], small)
    folder.write_object(instances[1], large)
    folder.write_map("image1", [2, 3], [2, 3])
    with Image.open(folder.root / "image1.png") as picture:
        assert picture.mode == "P"
        assert picture.getpalette()[: 3 * 20] == palette()[:20].ravel().tolist()
        values = np.asarray(picture)
    np.testing.assert_array_equal(values == 2, small)
    np.testing.assert_array_equal(values == 3, large & ~small)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_label_maps_made_elsewhere(folder, instances, labels, dtype):
    folder.root.mkdir()
    expected = {}
    for image in range(len(instances.index.image_ids)):
        rows = np.flatnonzero(instances.index.image == image)
        values = np.zeros((60, 80), dtype)
        for row in rows:
            values[instances[row].mask] = labels[row]
        for row in rows:
            truth = instances[row]
            expected[row] = iou(values == labels[row], truth.mask, truth.void)
        Image.fromarray(values).save(folder.root / f"{instances.index.image_ids[image]}.png")
    found = scores(folder, instances, labels)
    assert [s.iou for s in found] == [expected[row] for row in range(len(instances))]


def test_an_objects_own_file_comes_before_the_map(folder, instances):
    folder.write_object(instances[0], np.ones((60, 80), bool))
    folder.write_map("image1", [2], [2])
    folder.write_object(instances[0], np.zeros((60, 80), bool))
    assert not folder.read(instances[0], 2).any()
    folder.object_path("image1", 2).unlink()
    assert folder.read(instances[0], 2).all()


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 1]], np.uint8), [[0, 1]]),
        (np.array([[0, 255]], np.uint8), [[0, 1]]),
        (np.array([[0, 51]], np.uint8), [[0, 0.2]]),
        (np.array([[0, 65535]], np.uint16), [[0, 1]]),
    ],
)
def test_grey_values_are_probabilities(folder, instances, values, expected):
    path = folder.object_path("image1", 2)
    path.parent.mkdir(parents=True)
    Image.fromarray(values).save(path)
    assert folder.read(instances[0], 1).tolist() == expected


@pytest.mark.parametrize(
    ("values", "mode", "others", "expected"),
    [
        ([[0, 1]], "L", [], 1),
        ([[0, 1]], "L", [[[0, 1]], [[0, 0]]], 1),
        ([[0, 1]], "L", [[[0, 1]], [[0, 90]]], 1 / 255),
        ([[0, 1]], "P", [[[0, 90]]], 1),
        ([[0, 255]], "1", [[[0, 90]]], 1),
    ],
)
def test_1_of_255_is_an_object_only_where_all_are_so(folder, values, mode, others, expected):
    instance = random_instance(np.random.default_rng(0), (1, 2), 2, 2)
    for number, other in enumerate([values, *others], instance.object_id):
        path = folder.object_path(instance.image_id, number)
        path.parent.mkdir(parents=True, exist_ok=True)
        picture = Image.fromarray(np.array(other, np.uint8))
        (picture.convert(mode) if number == instance.object_id else picture).save(path)
    assert folder.read(instance, 1).max() == pytest.approx(expected)


@pytest.mark.parametrize("full", [np.uint8(255), np.uint16(65535)])
def test_object_1_may_be_drawn_as_0_and_255(folder, full):
    instance = random_instance(np.random.default_rng(0), number=0)
    folder.root.mkdir()
    Image.fromarray(instance.mask * full).save(folder.map_path(instance.image_id))
    np.testing.assert_array_equal(folder.read(instance, 1) > 0.5, instance.mask)
    assert not folder.read(instance, 2).any()


def test_a_larger_picture_is_not_decoded(folder, instances, monkeypatch):
    path = folder.object_path("image1", 2)
    path.parent.mkdir(parents=True)
    Image.new("1", (9000, 9000)).save(path)
    monkeypatch.setattr("dextr.evaluation.mask_folder.read_label_map", None)
    with pytest.raises(ValueError, match=r"2\.png: expected a mask of image1#2 \(60, 80\), got"):
        folder.read(instances[0], 1)


@pytest.mark.parametrize("place", ["map_path", "object_path"])
def test_files_of_others_are_not_written_over(folder, instances, place):
    instance = instances[0]
    named = (instance.image_id,) if place == "map_path" else (instance.image_id, instance.object_id)
    path = getattr(folder, place)(*named)
    path.parent.mkdir(parents=True)
    Image.new("L", (80, 60)).save(path)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"{path} is there already and was not made"):
        folder.write_object(instance, instance.mask)
    assert path.read_bytes() == before
    path.unlink()
    for _ in range(2):
        folder.write_object(instance, instance.mask)
        folder.write_map(instance.image_id, [instance.object_id], [1])


def test_missing_masks_are_an_error(folder, instances, labels):
    with pytest.raises(ValueError, match=r"no mask of image1#2: .*image1/2\.png.*image1\.png"):
        scores(folder, instances, labels)


def test_masks_of_another_size_are_an_error(folder, instances, labels):
    folder.write_object(instances[0], np.ones((80, 60), bool))
    with pytest.raises(ValueError, match=r"image1#2: .*\(60, 80\), got \(80, 60\)"):
        scores(folder, instances, labels)


@pytest.mark.parametrize("content", [b"", b"no picture", None])
def test_unreadable_files_are_named(folder, instances, content):
    path = folder.object_path("image1", 2)
    path.parent.mkdir(parents=True)
    if content is None:
        Image.new("RGB", (80, 60), "red").save(path)
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"image1/2\.png: (not a readable|expected a mask of one)"):
        folder.read(instances[0], 1)


@pytest.mark.parametrize("image_id", ["../up", "a/../../up", "/etc/up"])
def test_names_cannot_lead_out_of_the_folder(folder, image_id):
    with pytest.raises(ValueError, match="out of the folder"):
        folder.object_path(image_id, 1)
    with pytest.raises(ValueError, match="out of the folder"):
        folder.map_path(image_id)


def test_too_many_objects_for_a_palette_are_left_to_their_files(folder, instances):
    numbers = list(range(1, 256))
    for k in numbers:
        instance = random_instance(np.random.default_rng(0), (4, 4), k, 2)
        folder.write_object(instance, instance.mask)
    with pytest.warns(UserWarning, match="255 objects do not fit"):
        folder.write_map("image0", numbers, numbers)
    assert not folder.map_path("image0").exists()
