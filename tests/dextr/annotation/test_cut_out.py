"""Batch annotation from Python."""

import numpy as np
import pytest
from PIL import Image
from support.made import GivenPrediction

from dextr.annotation import CocoWriter, ObjectPoints, PointsFile, annotate, read_points
from dextr.geometry import CropWindow
from dextr.points import check_points

HW = (30, 40)
CORNERS = [(5, 20), (25, 4), (25, 4), (5, 20)]
MASK = np.zeros(HW, bool)
MASK[4:21, 5:26] = True


class Boxes:
    """A predictor whose masks are the points' boxes; counts the objects of each call."""

    size, relax, threshold, batch_size, pieces = 64, 10, 0.5, 2, 0.0

    def __init__(self):
        self.calls = []

    def predict_many(self, image, list_of_points):
        self.calls.append(len(list_of_points))
        return [self._box(points, image.shape[:2]) for points in list_of_points]

    def _box(self, points, hw):
        window = CropWindow.around(check_points(points, hw), hw)
        prob = np.zeros(hw, np.float32)
        prob[window.object_box.slices()] = 1
        return GivenPrediction(prob, self.threshold, np.asarray(points), window)


def photo(value=7, hw=HW):
    return np.full((*hw, 3), value, np.uint8)


def points(*images, corners=CORNERS):
    return [ObjectPoints(k, image, corners, "cat", f"row {k}") for k, image in enumerate(images, 1)]


def test_no_objects_no_images():
    assert list(annotate({}, [], Boxes())) == []


def test_arrays_pictures_and_files_in_the_order_of_their_first_object(tmp_path):
    Image.fromarray(photo()).save(tmp_path / "c.png")
    images = {"b": photo(), "a": Image.fromarray(photo()), "c": tmp_path / "c.png", "unused": None}
    predictor = Boxes()
    found = list(annotate(images, points("b", "a", "b", "c", "b"), predictor))
    assert [(image.name, image.hw) for image in found] == [("b", HW), ("a", HW), ("c", HW)]
    assert [[o.number for o in image.objects] for image in found] == [[1, 3, 5], [2], [4]]
    assert predictor.calls == [2, 1, 1, 1]
    for image in found:
        assert image.problems == []
        for annotated in image.objects:
            np.testing.assert_array_equal(annotated.mask, MASK)
            np.testing.assert_array_equal(annotated.points, CORNERS)
            assert (annotated.label, annotated.threshold) == ("cat", 0.5)


def test_problems_are_values_and_stop_nothing(tmp_path):
    Image.fromarray(photo()).save(tmp_path / "good.png")
    (tmp_path / "bad.png").write_text("no image")
    outside = ObjectPoints(9, "good.png", [(1, 1), (2, 2), (3, 3), (99, 1)], place="row 9")
    other = ObjectPoints(10, "size.png", CORNERS, place="row 10", image_hw=(3, 4))
    Image.fromarray(photo()).save(tmp_path / "size.png")
    given = [*points("none.png", "bad.png"), outside, other, *points("good.png")]
    found = {image.name: image for image in annotate(tmp_path, given, Boxes())}
    assert {name: image.hw for name, image in found.items()} == {
        "none.png": (0, 0), "bad.png": (0, 0), "size.png": (0, 0), "good.png": HW
    }  # fmt: skip
    said = {name: str(*image.problems) for name, image in found.items()}
    assert said["none.png"] == f"row 1: {tmp_path / 'none.png'}: no such image file"
    assert said["bad.png"].startswith(f"row 2: {tmp_path / 'bad.png'}: not a readable image")
    assert said["good.png"].startswith("row 9: point (99, 1) lies outside the image")
    assert said["size.png"].endswith("is 40 x 30 pixels, but the points are for 4 x 3")
    assert [o.number for o in found["good.png"].objects] == [1]


def test_an_image_that_was_not_given():
    (image,) = annotate({"a": photo()}, points("b"), Boxes())
    assert str(*image.problems) == "row 1: b: no such image among the 1 given"


@pytest.mark.parametrize("kind", ["file", "array"])
def test_goes_on_from_what_is_kept(tmp_path, kind):
    def images(value=7):
        if kind == "array":
            return {name: photo(value) for name in "ab"}
        for name in "ab":
            Image.fromarray(photo(value, HW)).save(tmp_path / name, "PNG", compress_level=value)
        return tmp_path

    def calls(given, objects, network="one"):
        predictor = Boxes()
        found = list(annotate(given, objects, predictor, tmp_path / "parts", network))
        assert [o.number for image in found for o in image.objects] == [1, 2]
        return len(predictor.calls)

    given, objects = images(), points("a", "b")
    next(annotate(given, objects, Boxes(), tmp_path / "parts", "one"))  # interrupted
    assert calls(given, objects) == 1
    assert calls(given, objects) == 0
    assert calls(given, objects, "other") == 2
    assert calls(given, points("a", "b", corners=[*CORNERS, (5, 5)]), "other") == 2
    assert calls(images(9), points("a", "b", corners=[*CORNERS, (5, 5)]), "other") == 2


def test_what_is_kept_needs_the_network_s_name(tmp_path):
    with pytest.raises(ValueError, match="keep needs network"):
        annotate({}, [], Boxes(), tmp_path)


def test_all_the_way_to_coco(tmp_path):
    file = PointsFile.of_entries(points("a", "b"))
    writer = CocoWriter(tmp_path / "x.json", file.categories, file.image_ids, polygons=True)
    given = {"a": photo(), "b": photo(), "c": np.zeros((0, 3))}
    said = writer.write(annotate(given, [*file.objects, *points("c")], Boxes()))
    assert said.startswith(f"{tmp_path / 'x.json'}\npolygons against their masks: mean IoU 1.0000")
    again = read_points(tmp_path / "x.json")
    assert [(o.number, o.image) for o in again.objects] == [(1, "a"), (2, "b")]
    assert set(again.image_ids) == {"a", "b"}
