import re

import numpy as np
import pytest
from support.objects import close
from support.trees import make_davis, write_palette

from dataloaders.davis import DavisInstances

VAL = ["camel_00000", "camel_00001", "dog-gooses_00000", "dog-gooses_00001"]


def test_every_frame_is_as_drawn(tmp_path):
    scenes = make_davis(tmp_path)
    instances = DavisInstances(tmp_path)
    assert [i.image_id for i in instances] == VAL
    for name, instance in zip(VAL, instances, strict=True):
        scene = scenes[name.replace("_", "/")]
        assert np.array_equal(instance.mask, scene.shapes[0])
        assert instance.object_id == 1
        assert not instance.void.any()
        assert close(instance.image, scene.image)


def test_a_list_of_sequences_gives_the_same(tmp_path):
    make_davis(tmp_path / "DAVIS")
    expected = DavisInstances(tmp_path / "DAVIS").index
    lists = tmp_path / "DAVIS" / "ImageSets"
    (lists / "480p").rename(lists / "2016")
    (lists / "2016" / "val.txt").write_text("camel\ndog-gooses\n")
    index = DavisInstances(tmp_path).index
    assert index.image_ids.tolist() == expected.image_ids.tolist()
    assert index.area.tolist() == expected.area.tolist()


def test_numbered_objects_become_one(tmp_path):
    make_davis(tmp_path)
    labels = np.zeros((89, 137), np.uint8)
    labels[:5, :10], labels[5:9, :10] = 1, 2
    write_palette(tmp_path / "Annotations" / "480p" / "bear" / "00000.png", labels)
    instances = DavisInstances(tmp_path, "train")
    assert instances.index.area[0] == 90
    assert np.array_equal(instances[0].mask, labels > 0)


def test_a_frame_without_the_object_does_not_appear(tmp_path):
    make_davis(tmp_path)
    path = tmp_path / "Annotations" / "480p" / "bear" / "00000.png"
    write_palette(path, np.zeros((89, 137), np.uint8))
    assert [i.image_id for i in DavisInstances(tmp_path, "train")] == ["bear_00001"]


@pytest.mark.parametrize("folder", ["JPEGImages", "Annotations"])
def test_a_missing_frame_is_named(tmp_path, folder):
    make_davis(tmp_path)
    path = next((tmp_path / folder / "480p" / "bear").glob("00001.*"))
    path.unlink()
    with pytest.raises(ValueError, match=re.escape(str(path))):
        DavisInstances(tmp_path, "train")


def test_a_sequence_without_masks_is_named(tmp_path):
    make_davis(tmp_path)
    (tmp_path / "ImageSets" / "480p" / "val.txt").write_text("goat\n")
    with pytest.raises(ValueError, match="no masks of the sequence 'goat'"):
        DavisInstances(tmp_path)


def test_a_missing_data_set_is_explained(tmp_path):
    with pytest.raises(ValueError, match=r"no DAVIS 2016 in it.*JPEGImages/480p.*davischallenge"):
        DavisInstances(tmp_path)
