import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from support.trees import make_coco, make_voc

from dataloaders import files
from dataloaders.coco import CocoInstances
from dataloaders.files import LastRead
from dataloaders.label_maps import count_labels
from dataloaders.pascal import PascalInstances

maps = arrays(
    np.int32, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.integers(-1, 400)
)


@given(maps)
def test_count_labels_counts_each_label(labels):
    found, areas = count_labels(labels)
    pixels = labels.ravel().tolist()
    assert dict(zip(found.tolist(), areas.tolist(), strict=True)) == {
        label: pixels.count(label) for label in set(pixels) - {0}
    }
    assert found.tolist() == sorted(found.tolist())


@pytest.fixture(params=["pascal", "coco"])
def instances(tmp_path, request):
    if request.param == "pascal":
        make_voc(tmp_path)
        return PascalInstances(tmp_path, "trainval")
    make_coco(tmp_path)
    return CocoInstances(tmp_path / "annotations/instances_val2017.json", tmp_path / "val2017")


def test_objects_of_an_image_share_its_decoding(instances, monkeypatch):
    decoded = []

    def count(path):
        decoded.append(path)
        return original(path)

    original = files.read_image
    monkeypatch.setattr(files, "read_image", count)
    seen = [instance.image_id for instance in instances]
    assert len(decoded) == len(set(seen)) < len(seen)


def test_a_shared_image_cannot_be_changed_by_accident(instances):
    with pytest.raises(ValueError, match="read-only"):
        instances[0].image[0, 0] = 0
    mask = instances[0].mask
    mask[:] = False
    assert instances[0].mask.any()


def test_a_data_set_travels_to_other_processes_without_what_it_keeps(instances):
    size = len(pickle.dumps(instances))
    expected = instances[len(instances) - 1]
    assert len(pickle.dumps(instances)) == size
    copy = pickle.loads(pickle.dumps(instances))
    there = copy[len(copy) - 1]
    assert there.name == expected.name
    assert np.array_equal(there.image, expected.image)
    assert np.array_equal(there.mask, expected.mask)


def test_last_read_reads_again_after_another():
    read = []
    last = LastRead()
    for key in (3, 3, 4, 3):
        assert last.get(key, lambda k: read.append(k) or k * 2) == key * 2
    assert read == [3, 4, 3]
