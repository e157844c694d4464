import numpy as np
import pytest
from PIL import Image
from support.trees import (
    SBD_TRAIN,
    SBD_VAL,
    VOC_TRAIN,
    VOC_VAL,
    make_coco,
    make_folder,
    make_sbd,
    make_voc,
)

from dataloaders.coco import CocoInstances
from dataloaders.folder import FolderInstances
from dataloaders.instances import CombinedInstances, Subset
from dataloaders.pascal import PascalInstances
from dataloaders.sbd import SbdInstances


@pytest.fixture
def sources(tmp_path):
    voc, sbd = make_voc(tmp_path), make_sbd(tmp_path)
    pascal = PascalInstances(tmp_path, "train")
    return voc, sbd, [pascal, SbdInstances(tmp_path, "train"), SbdInstances(tmp_path, "val")]


def test_pascal_and_sbd_less_val(tmp_path, sources):
    voc, sbd, parts = sources
    combined = CombinedInstances(parts, exclude=PascalInstances(tmp_path).index.image_ids.tolist())
    expected = [name for name in SBD_TRAIN + SBD_VAL if name not in VOC_TRAIN + VOC_VAL]
    assert combined.index.image_ids.tolist() == [*VOC_TRAIN, *expected]
    truth = [(n, k, voc[n].labels) for n in VOC_TRAIN for k in range(len(voc[n].classes))]
    truth += [(n, k, sbd[n].unbordered) for n in expected for k in range(len(sbd[n].classes))]
    assert len(combined) == len(truth)
    for row, (name, k, labels) in enumerate(truth):
        instance = combined[row]
        assert (instance.image_id, instance.object_id) == (name, k + 1)
        assert np.array_equal(instance.mask, labels == k + 1)
        assert instance.category == (voc if name in VOC_TRAIN else sbd)[name].classes[k] - 1
        assert combined.index.area[row] == instance.mask.sum()
        assert combined.object_name(row) == instance.name
    assert combined.name == "pascal-train+sbd-train+sbd-val"
    assert len(combined.category_names) == 20


def test_parts_of_data_sets_still_share_images(sources):
    _, _, parts = sources
    subsets = [Subset(part, np.arange(len(part))) for part in parts]
    names = CombinedInstances(subsets).index.image_ids.tolist()
    assert names == list(dict.fromkeys(VOC_TRAIN + SBD_TRAIN + SBD_VAL))
    assert CombinedInstances(parts).image_space == "voc"


def test_images_of_other_folders_are_others_whatever_their_names(tmp_path):
    first, second = make_folder(tmp_path / "a"), make_folder(tmp_path / "b", seed=8)
    combined = CombinedInstances([FolderInstances(tmp_path / "a"), FolderInstances(tmp_path / "b")])
    assert combined.index.image_ids.tolist() == [*first, *(f"2-{name}" for name in second)]
    shapes = [s.labels.shape for scenes in (first, second) for s in scenes.values()]
    assert [combined.read_image(k).shape[:2] for k in range(8)] == shapes


def folder_of(root, names):
    for name in names:
        for kind, pixels in (("images", np.zeros((4, 4, 3), np.uint8)), ("masks", np.eye(4) > 0)):
            (root / kind).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(root / kind / f"{name}.png")
    return FolderInstances(root)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ([["a"], ["a", "2-a"]], ["a", "2-2-a", "2-a"]),
        ([["a", "2-a"], ["a"]], ["2-a", "a", "2-2-a"]),
        ([["a"], ["a"], ["a"]], ["a", "2-a", "3-a"]),
    ],
)
def test_images_keep_names_of_their_own(tmp_path, names, expected):
    parts = [folder_of(tmp_path / str(k), own) for k, own in enumerate(names)]
    combined = CombinedInstances(parts)
    found = combined.index.image_ids.tolist()
    assert sorted(found) == sorted(expected)
    assert len({combined.object_name(row) for row in range(len(combined))}) == len(combined)


def test_categories_are_joined_by_name(tmp_path):
    make_voc(tmp_path)
    make_coco(tmp_path)
    make_folder(tmp_path)
    coco = CocoInstances(tmp_path / "annotations" / "instances_val2017.json", tmp_path / "val2017")
    combined = CombinedInstances([coco, PascalInstances(tmp_path), FolderInstances(tmp_path)])
    assert combined.category_names[:3] == ("person", "dog", "aeroplane")
    assert len(combined.category_names) == 20
    expected = [
        source.category_names[k] if k >= 0 else None
        for source in combined.sources
        for k in source.index.category
    ]
    names = (*combined.category_names, None)
    assert [names[k] for k in combined.index.category] == expected


def test_everything_may_be_excluded(sources):
    _, _, parts = sources
    combined = CombinedInstances(parts[:1], exclude=VOC_TRAIN)
    assert (len(combined), combined.index.image_ids.tolist()) == (0, [])


def test_nothing_to_combine():
    with pytest.raises(ValueError, match="at least one data set"):
        CombinedInstances([])
