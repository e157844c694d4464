import json
import re
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from support.objects import close
from support.trees import make_coco, uncompressed_rle

from dataloaders.coco import CocoInstances
from dextr.common.rle import decompress, encode_segmentation

NAN = float("nan")


@pytest.fixture
def coco(tmp_path):
    scenes = make_coco(tmp_path)
    return tmp_path / "annotations" / "instances_val2017.json", tmp_path / "val2017", scenes


def change(path, edit):
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def test_every_object_is_as_drawn_and_as_pycocotools_has_it(coco):
    path, images, scenes = coco
    instances, reference = CocoInstances(path, images), COCO(path)
    names = {a["id"]: f"{a['image_id']:012d}" for a in reference.anns.values()}
    places = {a: k % 2 for k, a in enumerate(sorted(names.keys() - {99}))}
    assert instances.index.object_id.tolist() == sorted(names.keys() - {99})
    for row, instance in enumerate(instances):
        scene = scenes[instance.image_id]
        assert instance.image_id == names[instance.object_id]
        assert np.array_equal(instance.mask, scene.shapes[places[instance.object_id]])
        assert np.array_equal(
            instance.mask, reference.annToMask(reference.anns[instance.object_id])
        )
        assert instance.mask.sum() == instances.index.area[row]
        assert not instance.void.any()
        assert instances.category_names[instance.category] == ("person", "dog")[row % 2]
        assert close(instance.image, scene.image)


def test_objects_may_overlap(coco):
    path, images, scenes = coco
    instances = CocoInstances(path, images)
    shared = [
        (instances[row].mask & instances[row + 1].mask).sum() for row in range(0, len(instances), 2)
    ]
    assert shared == [(s.shapes[0] & s.shapes[1]).sum() for s in scenes.values()]
    assert max(shared) > 0


SQUARE = [10, 20, 40, 20, 40, 50, 10, 50]
PAIRS = [[10, 20], [40, 20], [40, 50], [10, 50]]


def runs_in_two(hw):
    """A list of two run lengths, the square's upper and lower half."""
    upper, lower = np.zeros((2, *hw), bool)
    upper[20:35, 10:40] = lower[35:50, 10:40] = True
    return [uncompressed_rle(half) for half in (upper, lower)]


@pytest.mark.parametrize(
    "segmentation",
    [
        [SQUARE],
        SQUARE,
        PAIRS,
        [PAIRS],
        [[SQUARE]],
        [[PAIRS]],
        [[1, 1, 5, 5], SQUARE],
        [[float(x) for x in SQUARE]],
        runs_in_two,
    ],
)
def test_shapes_that_tools_write_are_the_same_square(coco, segmentation):
    path, images, scenes = coco
    hw = scenes["000000000041"].labels.shape
    written = segmentation(hw) if callable(segmentation) else segmentation
    change(path, lambda c: c["annotations"][0].update(segmentation=written))
    instances = CocoInstances(path, images)
    expected = np.zeros(hw, bool)
    expected[20:50, 10:40] = True
    assert np.array_equal(instances[instances.index.object_id.tolist().index(101)].mask, expected)


@pytest.mark.parametrize(("mark", "crowd"), [(0, 0), (1, 1), (True, 1), (False, 0), (None, 0)])
def test_crowd_regions_are_counted_and_can_be_kept(coco, mark, crowd):
    path, images, _ = coco

    def edit(content):
        for record in content["annotations"]:
            record["iscrowd"] = mark

    change(path, edit)
    if crowd:
        with pytest.warns(UserWarning, match="9 of 9 annotations are crowd regions .*--keep-crowd"):
            assert len(CocoInstances(path, images)) == 0
    else:
        assert len(CocoInstances(path, images)) == 9
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(CocoInstances(path, images, keep_crowd=True)) == 9


def test_labels_in_maps_stay_when_categories_are_left_out(coco):
    path, images, _ = coco
    everything, dogs = CocoInstances(path, images), CocoInstances(path, images, ["dog"])
    labels = dict(zip(everything.index.object_id, everything.index.label, strict=True))
    assert set(labels.values()) == {1, 2} or set(labels.values()) == set(labels)
    assert dogs.index.label.tolist() == [labels[k] for k in dogs.index.object_id]


def test_backslashes_in_file_names(coco):
    path, images, _ = coco
    (images / "sub").mkdir()
    (images / "000000000041.jpg").rename(images / "sub" / "a.jpg")
    change(path, lambda c: c["images"][0].update(file_name="sub\\a.jpg"))
    instances = CocoInstances(path, images)
    assert instances.image_id(0) == "sub_a"
    assert instances[0].image.shape[2] == 3


def test_crowd_is_left_out_and_ids_are_kept(coco):
    instances = CocoInstances(*coco[:2])
    assert 99 not in instances.index.object_id
    assert instances.category_names == ("person", "dog")
    assert instances.coco_category_ids.tolist() == [1, 18]
    assert instances.coco_image_ids.tolist() == [41, 48, 55, 62]
    assert instances.name == "coco-val2017"


@pytest.mark.parametrize("wanted", [["dog"], ["person"], ["dog", "person"], []])
def test_categories_are_filtered_and_numbered_from_zero(coco, wanted):
    path, images, _ = coco
    everything = CocoInstances(path, images)
    instances = CocoInstances(path, images, wanted)
    assert instances.category_names == tuple(n for n in ("person", "dog") if n in wanted)
    ours = {(i.object_id, instances.category_names[i.category], i.mask.sum()) for i in instances}
    names = everything.category_names
    assert ours == {
        (i.object_id, names[i.category], i.mask.sum())
        for i in everything
        if names[i.category] in wanted
    }


def test_an_unknown_category_names_those_there(coco):
    with pytest.raises(ValueError, match="'cat' in coco-val2017; there are: person, dog"):
        CocoInstances(*coco[:2], ["dog", "cat"])


masks = arrays(bool, st.tuples(st.integers(1, 30), st.integers(1, 30)))


@given(masks)
def test_run_lengths_give_the_mask_back(mask):
    runs = uncompressed_rle(mask)
    packed = coco_mask.encode(np.asfortranarray(mask, np.uint8))
    assert decompress(packed["counts"]) == runs["counts"]
    text = {"size": list(mask.shape), "counts": packed["counts"].decode()}
    expected = (mask.sum(), packed["counts"])
    for segmentation in (runs, packed, text):
        assert encode_segmentation(segmentation, mask.shape) == expected


@settings(max_examples=50)
@given(st.binary(max_size=12))
def test_any_compressed_string_is_refused_or_right(counts):
    segmentation = {"size": [6, 7], "counts": counts}
    try:
        area, ours = encode_segmentation(segmentation, (6, 7))
    except (ValueError, OverflowError):
        return
    assert coco_mask.decode({"size": [6, 7], "counts": ours}).sum() == area


@pytest.mark.parametrize("segmentation", [None, [], {}, [[]], [[1, 1, 5, 5]]])
def test_an_object_without_pixels_does_not_appear(coco, segmentation):
    path, images, _ = coco
    change(path, lambda c: c["annotations"][0].update(segmentation=segmentation))
    assert 101 not in CocoInstances(path, images).index.object_id


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("image_id", 7, "annotation 101: there is no image 7 in the file"),
        ("image_id", "x", "annotation 101: expected 'image_id' as a whole number, got 'x'"),
        ("image_id", 1e999, "annotation 101: expected 'image_id' as a whole number"),
        ("category_id", 7, "annotation 101: there is no category 7 in the file"),
        ("id", 2**63, "annotation 9223372036854775808: expected an id as a whole number"),
        ("id", 1.5, "annotation 1.5: expected an id as a whole number"),
        ("iscrowd", "0", "annotation 101: expected 'iscrowd' 0 or 1, got '0'"),
        ("iscrowd", 2, "expected 'iscrowd' 0 or 1, got 2"),
        ("iscrowd", [], "expected 'iscrowd' 0 or 1"),
        ("segmentation", [[1, 1, 5, 5, 9, 9, 3]], "flat lists"),
        ("segmentation", [[1, 1, 5, 5, 9, NAN]], "finite"),
        ("segmentation", [[1, 1, 5, 5, 9, 1e9]], "finite"),
        ("segmentation", [[1, 1, 5, 5, 9, "a"]], "annotation 101: expected a segmentation of poly"),
        ("segmentation", [[1, 1, 5]], "flat lists"),
        ("segmentation", [[1, 1, 5, 5, 9, True]], "expected a segmentation"),
        ("segmentation", [[[[[[1, 1, 5, 5, 9, 9]]]]]], "expected a segmentation"),
        ("segmentation", [{"size": [94, 95]}, [1, 2]], "expected a segmentation"),
        ("segmentation", 7.5, "annotation 101: expected a segmentation"),
        ("segmentation", "M 0 0 L 5 5", "annotation 101: expected a segmentation"),
        ("segmentation", [94 * 95 - 9, 2, 3, 4, 0, 0], "polygon or run lengths"),
        ("segmentation", [[0, 0, 99_999, 99_999] * 2000], "an outline of at most"),
        ("segmentation", 3, "annotation 101: expected a segmentation of polygons .* got 3"),
        ("segmentation", {"size": [2, 2], "counts": [4]}, "do not fit the image"),
        ("segmentation", {"size": [94, 95], "counts": [5, 6]}, "do not fit the image"),
        ("segmentation", {"size": [94, 95], "counts": [-5, 8935]}, "do not fit the image"),
        ("segmentation", {"size": [94, 95], "counts": "abc"}, "do not fit the image"),
        ("segmentation", {"size": [94, 95]}, "annotation 101: expected run lengths with 'size' "),
        ("segmentation", {"size": [94, 95], "counts": 3}, "'counts' as a list or a text"),
        ("segmentation", {"size": [94, 95], "counts": [0.5, 8929.5]}, "a run's length as a whole"),
        ("id", 102, "same id"),
    ],
)
def test_a_broken_annotation_is_named(coco, field, value, message):
    path, images, _ = coco
    change(path, lambda c: c["annotations"][0].update({field: value}))
    with pytest.raises(ValueError, match=f"{path}.*{message}"):
        CocoInstances(path, images)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c.pop("categories"), "list under 'categories'"),
        (lambda c: c["images"][0].update(id=2**63), "image 9223372036854775808: expected an id"),
        (lambda c: c["images"][0].update(height=1e999), "image 41: expected a height as a whole"),
        (lambda c: c["images"][0].update(width=10**10), "image 41: expected a size in pixels"),
        (lambda c: c["images"][0].update(file_name=7), "image 41: expected 'file_name' in words"),
        (lambda c: c["images"].append([]), "image \\[\\]: expected a record"),
        (lambda c: c["categories"][0].update(id=None), "category None: expected an id"),
        (lambda c: c["categories"].append({"id": 1, "name": "x"}), "two categories have the same"),
        (lambda c: c["images"][0].pop("height"), "image 41: 'height' is missing"),
        (lambda c: c["images"][0].update(id=48), "two images have the same id"),
        (lambda c: c["annotations"].append(3), "annotation 3"),
    ],
)
def test_a_broken_file_is_named(coco, edit, message):
    path, images, _ = coco
    change(path, edit)
    with pytest.raises(ValueError, match=f"{path}.*{message}"):
        CocoInstances(path, images)


@pytest.mark.parametrize(
    ("text", "message"), [(None, "not readable"), ("{", "JSON"), ("[]", "list under 'images'")]
)
def test_no_annotation_file(coco, text, message):
    path, images, _ = coco
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=f"{path}.*{message}"):
        CocoInstances(path, images)


def test_a_missing_image_is_named_and_one_without_objects_is_not_needed(coco):
    path, images, _ = coco
    spare = {"id": 5, "file_name": "none.jpg", "height": 4, "width": 4}
    change(path, lambda c: c["images"].append(spare))
    assert len(CocoInstances(path, images).index.image_ids) == 5
    (images / "000000000048.jpg").unlink()
    with pytest.raises(ValueError, match=r"000000000048.jpg: no such image file"):
        CocoInstances(path, images)


def test_another_size_names_image_and_file(coco):
    path, images, _ = coco
    Image.new("RGB", (33, 44)).save(images / "000000000041.jpg")
    with pytest.raises(ValueError, match=f"041.jpg.*33 x 44.*{re.escape(str(path))}"):
        CocoInstances(path, images)


@pytest.mark.parametrize(
    ("files", "names"),
    [(("sub/a.jpg", "b.jpg"), ["sub_a", "b"]), (("a.jpg", "a.png"), ["41", "48"])],
)
def test_image_names_are_fit_for_file_names(coco, files, names):
    path, images, _ = coco

    def rename(content):
        for record, file in zip(content["images"], files, strict=False):
            target = images / file
            target.parent.mkdir(exist_ok=True)
            (images / record["file_name"]).rename(target)
            record["file_name"] = file

    change(path, rename)
    assert CocoInstances(path, images).index.image_ids.tolist()[:2] == names


def test_real_objects(real_data):
    folder = real_data / "coco"
    instances = CocoInstances(folder / "instances.json", folder / "images")
    reference = COCO(folder / "instances.json")
    plain = [a for a in reference.anns.values() if not a["iscrowd"]]
    assert len(instances) == len(plain) == 2976
    for row in range(0, len(instances), 100):
        annotation = reference.anns[int(instances.index.object_id[row])]
        instance = instances[row]
        assert np.array_equal(instance.mask, reference.annToMask(annotation))
        name = reference.cats[annotation["category_id"]]["name"]
        assert instances.category_names[instance.category] == name
