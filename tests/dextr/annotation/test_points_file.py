"""Files of points: what is read, and what is said of what cannot be."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.trees import uncompressed_rle

from dextr.annotation.objects import PointsFile, image_of
from dextr.annotation.points_file import read_points

FOUR = [[1, 5], [9, 4], [4, 0], [5, 9]]
HEADER = "image,x1,y1,x2,y2,x3,y3,x4,y4"
ROW = "a.jpg,1,5,9,4,4,0,5,9"
MASK = np.zeros((8, 10), bool)
MASK[2:6, 3:9] = True


@pytest.fixture
def read(tmp_path):
    """Write a file, read it, and give its places relative to the test's folder."""

    def call(content, name="p.csv", **options):
        path = tmp_path / name
        text = content if isinstance(content, str | bytes) else json.dumps(content, indent=0)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return read_points(path, **options)

    return call


def said(points):
    return ["p." + str(problem).split("/p.", 1)[1] for problem in points.problems]


def coco(**changes):
    annotation = {
        "id": 70,
        "image_id": 30,
        "category_id": 5,
        "extreme_points": FOUR,
        "segmentation": uncompressed_rle(MASK),
    }
    return {
        "images": [{"id": 30, "file_name": "s/a.jpg", "height": 8, "width": 10}],
        "annotations": [{**annotation, **changes}],
        "categories": [{"id": 5, "name": "cat", "supercategory": "animal"}],
    }


class TestCsv:
    def test_without_rows_holds_nothing(self, read):
        assert read(HEADER) == PointsFile([], [], [], {})

    @pytest.mark.parametrize("separator", [",", ";", "\t"])
    @pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
    @pytest.mark.parametrize("newline", ["\n", "\r\n"])
    def test_rows(self, read, separator, start, newline):
        rows = f"{HEADER},note,x5,y5,label\n{ROW},hm,7,8,cat\n\nb/c.png,{ROW[6:]},,,,"
        text = rows.replace(",", separator).replace("\n", newline)
        points = read(start + text.encode())
        assert points.problems == []
        first, second = points.objects
        assert (first.number, first.image, first.label) == (1, "a.jpg", "cat")
        np.testing.assert_array_equal(first.points, [*FOUR, [7, 8]])
        assert (second.number, second.image, second.label) == (2, "b/c.png", "object")
        np.testing.assert_array_equal(second.points, FOUR)
        assert second.place.endswith("p.csv:4")
        assert points.image_ids == {"a.jpg": 1, "b/c.png": 2}
        assert [(c["id"], c["name"]) for c in points.categories] == [(1, "cat"), (2, "object")]

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("a.jpg,1,5,9,4,4,0,5", "expected 9 cells as in the headings, got 8"),
            (ROW + ",3", "expected 9 cells as in the headings, got 10"),
            ("a.jpg,1,5,9,4,4,0,5,", "points must be numbers"),
            ("a.jpg,1,5,9,4,4,0,5,nine", "points must be numbers"),
            (" ," + ROW[6:], "expected the name of an image file, got ' '"),
            ("../a.jpg," + ROW[6:], "leads out of the folder"),
            ("/a.jpg," + ROW[6:], "leads out of the folder"),
        ],
    )
    def test_a_bad_row_is_named_and_the_next_is_read(self, read, row, message):
        points = read(f"{HEADER}\n{ROW}\n{row}\n{ROW}\n")
        assert [entry.number for entry in points.objects] == [1, 3]
        (problem,) = said(points)
        assert problem.startswith("p.csv:3: ")
        assert message in problem

    def test_a_quote_left_open_loses_nothing_silently(self, read):
        points = read(f'{HEADER}\n{ROW}\n"{ROW}\n{ROW}\n')
        assert len(points.objects) == 1
        assert said(points) == ["p.csv:3: unexpected end of data"]

    @pytest.mark.parametrize("text", ["", "\n\n", ROW, "image,x1,y1", f"{HEADER},x4", '"'])
    def test_headings_are_needed(self, read, text):
        with pytest.raises(ValueError, match=r"p\.csv:1: expected the headings image,x1,y1"):
            read(text)

    def test_other_text_and_no_file(self, read, tmp_path):
        with pytest.raises(ValueError, match="not text in UTF-8"):
            read(b"image\xff")
        with pytest.raises(ValueError, match="no such file of points"):
            read_points(tmp_path / "none.csv")

    @given(st.text(max_size=60) | st.text(alphabet='a,1;\t\n\r"\0', max_size=60))
    def test_any_text_is_read_or_refused_row_by_row(self, tmp_path_factory, text):
        path = tmp_path_factory.getbasetemp() / "any.csv"
        path.write_bytes(f"{HEADER}\n{ROW}\n{text}".encode(errors="replace"))
        points = read_points(path)
        assert points.objects[0].image == "a.jpg"
        assert len(points.objects) + len(points.problems) <= 1 + len(text)


class TestJson:
    def test_list(self, read):
        entry = {"image": "a.jpg", "points": FOUR, "label": "cat"}
        points = read([entry, {"image": "b.jpg", "points": [*FOUR, [2, 2]]}], "p.json")
        assert points.problems == []
        assert [(o.number, o.image, o.label) for o in points.objects] == [
            (1, "a.jpg", "cat"),
            (2, "b.jpg", "object"),
        ]
        np.testing.assert_array_equal(points.objects[1].points, [*FOUR, [2, 2]])

    def test_empty_list(self, read):
        assert read("[]", "p.json").objects == []

    @pytest.mark.parametrize(
        "entry",
        [
            "3",
            "{}",
            '{"image": 3, "points": [[1, 5], [9, 4], [4, 0], [5, 9]]}',
            '{"image": "a.jpg", "points": [[1, 5], [9, 4], [4, 0]]}',
            '{"image": "a.jpg", "points": [[1, 5], [9, 4], [4, 0], [5]]}',
            '{"image": "a.jpg", "points": [[1, 5], [9, 4], [4, 0], [5, "x"]]}',
            '{"image": "a.jpg", "points": {"left": [1, 5]}}',
            '{"image": "a.jpg", "points": [[1, 5], [9, 4], [4, 0], [5, 1%s]]}' % ("0" * 400),
            '{"image": "a.jpg", "points": [[1, 5], [9, 4], [4, 0], [5, 9]], "label": 3}',
        ],
    )
    def test_a_bad_entry_is_named_by_its_line(self, read, entry):
        good = json.dumps({"image": "a.jpg", "points": FOUR})
        points = read(f"[\n{good},\n\n{entry} ,\n{good}\n]", "p.json")
        assert [o.number for o in points.objects] == [1, 3]
        (problem,) = said(points)
        assert problem.startswith("p.json:4: ")
        assert [o.place.rsplit(":", 1)[1] for o in points.objects] == ["2", "5"]

    @pytest.mark.parametrize("text", ["", "[", '{"a"', "[" * 100_000, "[1,]"])
    def test_broken_file(self, read, text):
        with pytest.raises(ValueError, match=r"p\.json: not readable as JSON"):
            read(text, "p.json")

    @pytest.mark.parametrize("content", [3, "a", None, True])
    def test_neither_list_nor_coco(self, read, content):
        with pytest.raises(ValueError, match="expected a list of objects"):
            read(json.dumps(content), "p.json")


class TestCoco:
    @pytest.mark.parametrize("given", [FOUR, [c for xy in FOUR for c in xy]])
    def test_ids_are_kept(self, read, given):
        content = coco(extreme_points=given)
        points = read(content, "p.json")
        (entry,) = points.objects
        assert (entry.number, entry.image, entry.label) == (70, "s/a.jpg", "cat")
        assert entry.image_hw == (8, 10)
        np.testing.assert_array_equal(entry.points, FOUR)
        assert points.image_ids == {"s/a.jpg": 30}
        assert points.categories == content["categories"]

    def test_points_of_masks_are_the_same_every_time(self, read):
        once, again = (read(coco(), "p.json", from_masks=True).objects[0].points for _ in "12")
        np.testing.assert_array_equal(once, again)
        assert [once[0, 0], once[1, 0], once[2, 1], once[3, 1]] == [3, 8, 2, 5]
        x, y = once.astype(int).T
        assert MASK[y, x].all()

    def test_crowds_are_counted_and_no_objects(self, read):
        with pytest.warns(UserWarning, match="1 of 1 annotations are crowd regions .*--keep-crowd"):
            points = read(coco(iscrowd=1), "p.json")
        assert (points.objects, points.problems) == ([], [])
        assert len(read(coco(iscrowd=True), "p.json", keep_crowd=True).objects) == 1

    def test_two_categories_of_one_name_become_the_first(self, read):
        content = coco()
        content["categories"].append({**content["categories"][0], "id": 77})
        content["annotations"].append({**content["annotations"][0], "id": 71, "category_id": 77})
        with pytest.warns(UserWarning, match="categories of one name become the first"):
            points = read(content, "p.json")
        assert points.categories == content["categories"][:-1]
        assert len({entry.label for entry in points.objects}) == 1
        assert len(points.objects) == 2

    @pytest.mark.parametrize(
        ("changes", "from_masks", "message"),
        [
            ({"extreme_points": None}, False, "--from-masks finds them"),
            ({"extreme_points": [1, 2]}, False, "at least 4 points"),
            ({"image_id": 4}, False, "there is no image 4"),
            ({"iscrowd": "0"}, False, "expected 'iscrowd' 0 or 1, got '0'"),
            ({"segmentation": [[0, 0, 99_999, 99_999] * 2000]}, True, "an outline of at most"),
            ({"category_id": "5"}, False, "there is no category '5'"),
            ({"segmentation": []}, True, "its mask has no pixel"),
            ({"segmentation": {"size": [8, 10], "counts": [3]}}, True, "do not fit"),
            ({"segmentation": [[1, 2, 3, 4, 5, "x"]]}, True, ""),
            ({"segmentation": 7}, True, ""),
        ],
    )
    def test_a_bad_annotation_is_named(self, read, changes, from_masks, message):
        points = read(coco(**changes), "p.json", from_masks=from_masks)
        assert points.objects == []
        (problem,) = said(points)
        assert problem.startswith("p.json: annotation 70: ")
        assert message in problem

    def test_annotations_without_an_id_of_their_own(self, read):
        content = coco()
        content["annotations"] += [content["annotations"][0], {"id": True}, 5]
        points = read(content, "p.json")
        assert len(points.objects) == 1
        assert said(points) == [
            "p.json: annotation 2 of the list: expected an id of its own, got 70",
            "p.json: annotation 3 of the list: expected an id of its own, got True",
            "p.json: annotation 4 of the list: expected an annotation, got int",
        ]

    @pytest.mark.parametrize("key", ["images", "annotations", "categories"])
    def test_other_objects(self, read, key):
        content = coco()
        del content[key]
        with pytest.raises(ValueError, match=f"expected a list under '{key}'"):
            read(content, "p.json")

    def test_ids_that_lead_astray(self, read):
        content = coco()
        content["images"] *= 2
        with pytest.raises(ValueError, match="is there twice"):
            read(content, "p.json")


def test_masks_are_in_coco_files_only(read):
    with pytest.raises(ValueError, match="this is none"):
        read(f"{HEADER}\n{ROW}", from_masks=True)


@given(st.text())
def test_image_names_stay_in_the_folder(name):
    try:
        path = image_of(name)
    except ValueError:
        return
    assert not path.startswith("/")
    assert ".." not in path.split("/")
