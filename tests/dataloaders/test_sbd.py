import re

import numpy as np
import pytest
from scipy.io import savemat
from support.objects import close, rows_of, slow_rows
from support.trees import SBD_TRAIN, SBD_VAL, make_sbd

from dataloaders.sbd import SbdInstances


@pytest.fixture
def sbd(tmp_path):
    return tmp_path / "benchmark_RELEASE" / "dataset", make_sbd(tmp_path)


def write_truth(path, labels, categories):
    truth = {"Segmentation": labels, "Categories": np.array(categories, np.uint8)[:, None]}
    savemat(path, {"GTinst": truth})


@pytest.mark.parametrize("level", [".", "benchmark_RELEASE", "benchmark_RELEASE/dataset"])
@pytest.mark.parametrize(
    ("split", "ids"), [("train", SBD_TRAIN), ("val", SBD_VAL), ("trainval", SBD_TRAIN + SBD_VAL)]
)
def test_index_is_what_counting_pixels_one_by_one_gives(tmp_path, sbd, level, split, ids):
    instances = SbdInstances(tmp_path / level, split)
    drawn = [sbd[1][name] for name in ids]
    expected = [
        (image, label, drawn[image].classes[label - 1] - 1, area)
        for image, label, _, area in slow_rows([s.unbordered for s in drawn])
    ]
    assert rows_of(instances) == expected
    assert instances.index.image_ids.tolist() == list(ids)
    assert instances.name == f"sbd-{split}"


def test_every_object_is_as_drawn(sbd):
    base, scenes = sbd
    for instance in SbdInstances(base):
        scene = scenes[instance.image_id]
        assert np.array_equal(instance.mask, scene.unbordered == instance.object_id)
        assert not instance.void.any()
        assert close(instance.image, scene.image)


def test_255_is_void_where_there_are_fewer_objects(sbd):
    base, scenes = sbd
    scene = scenes[SBD_VAL[0]]
    write_truth(base / "inst" / f"{SBD_VAL[0]}.mat", scene.labels, scene.classes)
    first = SbdInstances(base, "val")[0]
    assert np.array_equal(first.void, scene.labels == 255)
    assert np.array_equal(first.mask, scene.labels == 1)


def test_an_image_without_objects(sbd):
    base, _ = sbd
    write_truth(base / "inst" / f"{SBD_VAL[0]}.mat", np.zeros((60, 80), np.uint8), [])
    assert SbdInstances(base, "val").index.image.min() == 1


@pytest.mark.parametrize(
    "content",
    [None, b"", b"no matrix", b"MATLAB 5.0 MAT-file" + b" " * 105 + b"\x00\x01IM" + b"\xff" * 80],
)
def test_a_damaged_annotation_is_named(sbd, content):
    path = sbd[0] / "inst" / f"{SBD_VAL[0]}.mat"
    if content is None:
        path.unlink()
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        SbdInstances(sbd[0], "val")


def test_a_cut_off_annotation_is_named(sbd):
    path = sbd[0] / "inst" / f"{SBD_VAL[0]}.mat"
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(ValueError, match=re.escape(str(path))):
        SbdInstances(sbd[0], "val")


@pytest.mark.parametrize(
    ("categories", "message"),
    [([3], "object 2 has no category"), ([3, 0], "classes 1..20"), ([3, 21], "classes 1..20")],
)
def test_categories_that_do_not_fit(sbd, categories, message):
    path = sbd[0] / "inst" / f"{SBD_VAL[0]}.mat"
    write_truth(path, np.array([[0, 1], [2, 2]], np.uint8), categories)
    with pytest.raises(ValueError, match=f"{path}.*{message}"):
        SbdInstances(sbd[0], "val")


def test_a_file_of_another_kind_is_named(sbd):
    path = sbd[0] / "inst" / f"{SBD_VAL[0]}.mat"
    savemat(path, {"other": 1})
    with pytest.raises(ValueError, match=f"{path}.*GTinst"):
        SbdInstances(sbd[0], "val")


def test_a_missing_image_is_named(sbd):
    path = sbd[0] / "img" / f"{SBD_VAL[0]}.jpg"
    path.unlink()
    with pytest.raises(ValueError, match=re.escape(str(path))):
        SbdInstances(sbd[0], "val")


def test_a_missing_data_set_says_how_to_get_it(tmp_path):
    with pytest.raises(ValueError, match=r"benchmark_RELEASE/dataset/img.*dextr download sbd"):
        SbdInstances(tmp_path)
