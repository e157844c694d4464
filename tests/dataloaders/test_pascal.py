import re
import shutil

import numpy as np
import pytest
from PIL import Image
from support.objects import close, rows_of, slow_rows
from support.trees import VOC_TRAIN, VOC_VAL, make_voc, write_grey, write_palette

from dataloaders.pascal import PascalInstances
from dextr.common.label_png import VOC_CATEGORIES


@pytest.fixture
def voc(tmp_path):
    return tmp_path / "VOCdevkit" / "VOC2012", make_voc(tmp_path)


def test_index_is_what_counting_pixels_one_by_one_gives(voc):
    base, scenes = voc
    instances = PascalInstances(base, "trainval")
    drawn = list(scenes.values())
    maps = [s.labels for s in drawn], [s.class_map for s in drawn]
    assert rows_of(instances) == slow_rows(*maps)
    assert instances.index.image_ids.tolist() == list(scenes)


def test_every_object_is_as_drawn(voc):
    base, scenes = voc
    instances = PascalInstances(base, "val")
    assert len(instances) == sum(len(scenes[name].classes) for name in VOC_VAL)
    for instance in instances:
        scene = scenes[instance.image_id]
        assert np.array_equal(instance.mask, scene.labels == instance.object_id)
        assert np.array_equal(instance.void, scene.labels == 255)
        assert instance.category == scene.classes[instance.object_id - 1] - 1
        assert close(instance.image, scene.image)


@pytest.mark.parametrize("level", [".", "VOCdevkit", "VOCdevkit/VOC2012"])
def test_root_may_be_any_of_three_folders(tmp_path, voc, level):
    instances = PascalInstances(tmp_path / level, "train")
    assert instances.index.image_ids.tolist() == list(VOC_TRAIN)
    assert instances.name == "pascal-train"
    assert PascalInstances(tmp_path / level).index.image_ids.tolist() == list(VOC_VAL)


def test_splits_can_be_joined(voc):
    assert PascalInstances(voc[0], "val+train").index.image_ids.tolist() == [*VOC_VAL, *VOC_TRAIN]


def test_category_is_the_majority_without_ground_and_void(voc):
    base, _ = voc
    labels = np.zeros((60, 80), np.uint8)
    classes = np.zeros_like(labels)
    labels[:10] = 1
    classes[:4, :30], classes[:4, 30:56], classes[4:9] = 3, 7, 255
    labels[20:30] = 4
    image_of(base, VOC_VAL[0], labels, classes)
    rows = rows_of(PascalInstances(base))
    assert rows[:2] == [(0, 1, 2, 800), (0, 4, -1, 800)]


def image_of(base, name, labels, classes):
    Image.new("RGB", labels.shape[::-1]).save(base / "JPEGImages" / f"{name}.jpg")
    write_palette(base / "SegmentationObject" / f"{name}.png", labels)
    write_palette(base / "SegmentationClass" / f"{name}.png", classes)


def test_an_image_of_void_alone_has_no_object(voc):
    base, _ = voc
    void = np.full((60, 80), 255, np.uint8)
    image_of(base, VOC_VAL[0], void, void)
    instances = PascalInstances(base)
    assert instances.index.image.min() == 1
    assert len(instances.index.image_ids) == len(VOC_VAL)


def test_names_are_the_twenty(voc):
    assert len(VOC_CATEGORIES) == 20
    assert VOC_CATEGORIES[14] == "person"
    assert sorted(VOC_CATEGORIES) == list(VOC_CATEGORIES)


def damage_missing(path):
    path.unlink()


def damage_truncated(path):
    path.write_bytes(path.read_bytes()[:200])


@pytest.mark.parametrize("damage", [damage_missing, damage_truncated])
@pytest.mark.parametrize("folder", ["JPEGImages", "SegmentationObject", "SegmentationClass"])
def test_a_damaged_file_is_named(voc, folder, damage):
    base, _ = voc
    path = next((base / folder).glob(f"{VOC_VAL[1]}.*"))
    damage(path)
    with pytest.raises(ValueError, match=re.escape(str(path))):
        list(PascalInstances(base))


def test_another_size_names_image_and_mask(voc):
    base, _ = voc
    path = base / "JPEGImages" / f"{VOC_VAL[0]}.jpg"
    Image.new("RGB", (33, 44)).save(path)
    with pytest.raises(ValueError, match=f"{path}.*33 x 44.*{base}/SegmentationObject/"):
        PascalInstances(base)[0]


def test_masks_of_two_sizes_name_both(voc):
    base, _ = voc
    path = base / "SegmentationClass" / f"{VOC_VAL[0]}.png"
    write_palette(path, np.zeros((44, 33), np.uint8))
    with pytest.raises(ValueError, match=f"SegmentationObject/.*{path} is 33 x 44"):
        PascalInstances(base)


@pytest.mark.parametrize(
    ("value", "dtype", "message"), [(21, np.uint8, "got 21"), (300, np.uint16, "8-bit")]
)
def test_a_class_that_voc_does_not_have(voc, value, dtype, message):
    base, scenes = voc
    classes = np.full(scenes[VOC_VAL[0]].labels.shape, value, dtype)
    write_grey(base / "SegmentationClass" / f"{VOC_VAL[0]}.png", classes)
    with pytest.raises(ValueError, match=f"{VOC_VAL[0]}.*{message}"):
        PascalInstances(base)


@pytest.mark.parametrize("suffix", ["JPG", "jpeg", "png", "webp"])
def test_photos_may_be_of_another_kind(voc, suffix):
    base, _ = voc
    path = base / "JPEGImages" / f"{VOC_VAL[1]}.jpg"
    with Image.open(path) as photo:
        photo.load()
    path.unlink()
    other = path.with_suffix(f".{suffix}")
    photo.save(other)
    instances = PascalInstances(base)
    assert [instances.image_path(k).name for k in range(2)] == [f"{VOC_VAL[0]}.jpg", other.name]
    assert [i.image_id for i in instances][-1] == VOC_VAL[-1]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_lists_as_windows_programs_save_them(voc, encoding):
    base, _ = voc
    path = base / "ImageSets" / "Segmentation" / "val.txt"
    path.write_bytes("\r\n".join(VOC_VAL).encode(encoding))
    if encoding == "utf-16":
        with pytest.raises(ValueError, match=f"{path}: not text in UTF-8 .*: save it as UTF-8"):
            PascalInstances(base)
    else:
        assert PascalInstances(base).index.image_ids.tolist() == list(VOC_VAL)


def test_an_unknown_split_names_those_there(voc):
    with pytest.raises(ValueError, match=r"test\.txt.*has: train, trainval, val"):
        PascalInstances(voc[0], "test")


def test_a_missing_data_set_says_how_to_get_it(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere: no such folder.*VOCdevkit/VOC2012.*download"):
        PascalInstances(tmp_path / "nowhere")
    make_voc(tmp_path)
    shutil.rmtree(tmp_path / "VOCdevkit" / "VOC2012" / "SegmentationObject")
    with pytest.raises(ValueError, match=r"no PASCAL VOC 2012 in it.*SegmentationObject"):
        PascalInstances(tmp_path)


def test_real_val(real_data):
    instances = PascalInstances(real_data / "VOCdevkit")
    assert (len(instances), len(instances.index.image_ids)) == (900, 500)
    for row in range(0, 900, 60):
        instance = instances[row]
        assert instance.mask.sum() == instances.index.area[row]
        classes = np.asarray(
            Image.open(instances.annotation_paths(int(instances.index.image[row]))[1])
        )
        assert (classes[instance.mask] == instance.category + 1).all()
