"""`python -m dextr annotate` as a person runs it; the network is untrained, its masks boxes."""

import csv
import errno
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from support.pair import run_pair
from support.trees import make_coco

from dataloaders.coco import CocoInstances
from dataloaders.folder import FolderInstances
from dataloaders.pascal import PascalInstances
from dextr.__main__ import main
from dextr.common.images import read_image
from dextr.common.label_png import VOC_CATEGORIES
from dextr.predictor import Predictor

ROOT = Path(__file__).parents[3]
HEADINGS = ["image", *(f"{axis}{k}" for k in range(1, 5) for axis in "xy"), "label"]
HW = (40, 60)
# Image, box (x0, y0, x1, y1) with its last pixels, label.
OBJECTS = [
    ("b.png", (5, 5, 30, 30), "dog"),
    ("a.jpg", (2, 3, 20, 12), "cat"),
    ("b.png", (10, 10, 15, 20), "cat"),
    ("s/c d.webp", (0, 0, 59, 39), "zebra"),
]
BOXES = [np.pad(np.ones((y1 - y0 + 1, x1 - x0 + 1), bool), ((y0, 39 - y1), (x0, 59 - x1)))
         for _, (x0, y0, x1, y1), _ in OBJECTS]  # fmt: skip


def corners(box):
    x0, y0, x1, y1 = box
    return [(x0, y1), (x1, y0), (x1, y0), (x0, y1)]


def write_csv(path, objects, *rows):
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(HEADINGS)
        for image, box, label in objects:
            writer.writerow([image, *(c for xy in corners(box) for c in xy), label])
        writer.writerows(rows)
    return path


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DEXTR_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def images(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a.jpg", "b.png", "s/c d.webp"):
        path = tmp_path / "images" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (*HW, 3), dtype=np.uint8)).save(path)
    return tmp_path / "images"


@pytest.fixture
def points(tmp_path):
    return write_csv(tmp_path / "points.csv", OBJECTS)


@pytest.fixture
def annotate(tmp_path, images, capsys):
    """Run the command in this process; returns exit code, output and errors."""

    def call(points, *options, threshold=0, images=images):
        arguments = ["--points", points, "--images", images, "--output", tmp_path / "out"]
        network = ["--weights", "untrained", "--threshold", threshold, "--device", "cpu"]
        capsys.readouterr()
        code = main(["annotate", *map(str, [*arguments, *network, *options])])
        return code, *capsys.readouterr()

    return call


@pytest.fixture
def seen(monkeypatch):
    """The images the network gets, as how many objects each time."""
    calls, predict = [], Predictor.predict_many

    def counted(self, image, points, threshold=None):
        calls.append(len(points))
        return predict(self, image, points, threshold)

    monkeypatch.setattr(Predictor, "predict_many", counted)
    return calls


class TestCoco:
    @pytest.mark.parametrize("segmentation", ["rle", "polygons"])
    def test_loads_in_pycocotools_and_our_loader(
        self, annotate, points, images, tmp_path, segmentation
    ):
        code, out, _ = annotate(points, "--segmentation", segmentation)
        assert code == 0
        path = tmp_path / "out" / "instances.json"
        assert out.startswith(f"4 objects on 3 images: {path}")
        assert ("mean IoU 1.0000, worst 1.0000" in out) == (segmentation == "polygons")
        theirs, ours = COCO(path), CocoInstances(path, images)
        assert len(ours) == 4
        names = {1: "cat", 2: "dog", 3: "zebra"}
        for number, ((image, box, label), mask) in enumerate(zip(OBJECTS, BOXES, strict=True), 1):
            record = theirs.anns[number]
            np.testing.assert_array_equal(theirs.annToMask(record), mask)
            assert theirs.imgs[record["image_id"]]["file_name"] == image
            assert names[record["category_id"]] == label
            assert record["area"] == mask.sum()
            x0, y0, x1, y1 = box
            assert record["bbox"] == [x0, y0, x1 + 1 - x0, y1 + 1 - y0]
            row = int(np.flatnonzero(ours.index.object_id == number)[0])
            np.testing.assert_array_equal(ours[row].mask, mask)
            np.testing.assert_array_equal(ours[row].image, read_image(images / image))
            assert ours.category_names[ours[row].category] == label

    def test_ragged_masks_as_polygons(self, annotate, points, tmp_path):
        path = tmp_path / "out" / "instances.json"
        loaded = []
        for options in ((), ("--segmentation", "polygons"),
                        ("--segmentation", "polygons", "--simplify", "1.5")):  # fmt: skip
            assert annotate(points, *options, threshold=0.5)[0] in (0, 1)
            coco = COCO(path)
            loaded.append({k: coco.annToMask(a) for k, a in coco.anns.items()})
        exact, polygons, fewer = loaded
        assert len(exact) >= 2
        assert any(0 < m.sum() < BOXES[k - 1].sum() for k, m in exact.items())
        for k, mask in exact.items():
            np.testing.assert_array_equal(polygons[k], mask)
            both, either = (fewer[k] & mask).sum(), (fewer[k] | mask).sum()
            assert coco.anns[k]["polygon_iou"] == pytest.approx(both / either, abs=1e-6)

    def test_its_result_is_a_file_of_points(self, annotate, points, tmp_path):
        annotate(points)
        first = json.loads((tmp_path / "out" / "instances.json").read_text())
        again = tmp_path / "again.json"
        (tmp_path / "out" / "instances.json").rename(again)
        assert annotate(again)[0] == 0
        assert json.loads((tmp_path / "out" / "instances.json").read_text()) == first

    def test_from_masks(self, annotate, tmp_path):
        scenes = make_coco(tmp_path / "made")
        truth = tmp_path / "made" / "annotations" / "instances_val2017.json"
        code, _, err = annotate(truth, "--from-masks", images=tmp_path / "made" / "val2017")
        assert "1 of 9 annotations are crowd regions" in err
        assert (code, err.count("left out: ")) == (0, 0)
        found, given = COCO(tmp_path / "out" / "instances.json"), COCO(truth)
        objects = [a for a in given.anns.values() if not a["iscrowd"]]
        assert sorted(found.anns) == [a["id"] for a in objects]
        assert len(objects) == sum(len(scene.shapes) for scene in scenes.values())
        for annotation in objects:
            ours = found.anns[annotation["id"]]
            assert ours["bbox"] == annotation["bbox"]
            assert ours["image_id"] == annotation["image_id"]
            assert ours["category_id"] == annotation["category_id"]


def test_voc_loads_in_our_loader(annotate, points, tmp_path, images):
    code, _, err = annotate(points, "--format", "voc", "--split", "val")
    assert code == 0
    assert "not among VOC's classes, so 255 in SegmentationClass: zebra" in err
    voc = PascalInstances(tmp_path / "out", "val")
    found = {instance.name: instance for instance in voc}
    assert list(found) == ["a#1", "b#1", "b#2", "s_c_d#1"]
    np.testing.assert_array_equal(found["a#1"].mask, BOXES[1])
    np.testing.assert_array_equal(found["b#1"].mask, BOXES[0] & ~BOXES[2])
    np.testing.assert_array_equal(found["b#2"].mask, BOXES[2])
    np.testing.assert_array_equal(found["s_c_d#1"].mask, BOXES[3])
    assert [VOC_CATEGORIES[i.category] for i in list(found.values())[:3]] == ["cat", "dog", "cat"]
    assert found["s_c_d#1"].category == -1
    jpegs = tmp_path / "out" / "JPEGImages"
    assert (jpegs / "a.jpg").read_bytes() == (images / "a.jpg").read_bytes()
    assert {Image.open(path).format for path in jpegs.iterdir()} == {"JPEG"}


def test_png_loads_in_our_loader(annotate, points, tmp_path):
    assert annotate(points, "--format", "png")[0] == 0
    out = tmp_path / "out"
    for number, (name, mask) in enumerate(zip(["b", "a", "b", "s_c_d"], BOXES, strict=True), 1):
        drawn = np.asarray(Image.open(out / "objects" / name / f"{number}.png"))
        np.testing.assert_array_equal(drawn, mask * 255)
    found = {instance.name: instance.mask for instance in FolderInstances(out)}
    assert list(found) == ["a#1", "b#1", "b#2", "s_c_d#1"]
    np.testing.assert_array_equal(found["b#1"], BOXES[0] & ~BOXES[2])
    fewer = write_csv(tmp_path / "fewer.csv", OBJECTS[:2])
    _, _, err = annotate(fewer, "--format", "png")
    assert "objects holds 2 masks of an earlier run" in err


@pytest.mark.parametrize("layout", ["voc", "png"])
def test_odd_names_stay_apart_and_below_the_output(annotate, tmp_path, images, layout):
    """Dots, two that would have one name, one that is not UTF-8, a folder as Windows has it."""
    names = ["...png", "..png", "s/a.png", "s_a.png", "\udcff.png", "win\\b.png"]
    shutil.copytree(images / "s", images / "win")
    for name in names:
        Image.new("RGB", HW[::-1]).save(images / name.replace("\\", "/"), "PNG")
    entries = [
        {"image": name, "points": corners((3, 4, 20 + k, 30))} for k, name in enumerate(names)
    ]
    points = tmp_path / "points.json"
    points.write_text(json.dumps(entries))
    code, out, err = annotate(points, "--format", layout)
    assert (code, out.split(":")[0]) == (0, "6 objects on 6 images"), err
    assert {p.name for p in tmp_path.iterdir()} <= {"cache", "images", "out", "points.json"}
    folder = tmp_path / "out"
    found = PascalInstances(folder, "train") if layout == "voc" else FolderInstances(folder)
    widths = {instance.image_id: int(instance.mask.any(axis=0).sum()) for instance in found}
    assert sorted(widths.values()) == [18, 19, 20, 21, 22, 23]
    assert widths["win_b"] == 23


def test_a_picture_too_wide_for_jpeg_is_a_row_left_out(annotate, tmp_path, images):
    Image.new("RGB", (65_501, 3)).save(images / "wide.png")
    wide = ("wide.png", (0, 0, 60, 2), "cat")
    points = write_csv(tmp_path / "p.csv", [wide, OBJECTS[0]])
    code, out, err = annotate(points, "--format", "voc")
    assert code == 1
    assert out.startswith("1 objects on 1 images")
    assert "wide.png: 65501 pixels long; a JPEG file holds 65500" in err
    assert annotate(points, "--format", "png")[0] == 0


def test_a_full_disk_is_not_a_row_left_out(annotate, points, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("dextr.annotation.label_map_writer.write_label_map", full)
    code, _, err = annotate(points, "--format", "voc")
    assert code == 2
    assert "No space left on device" in err


def test_crowd_marks_of_a_tool_can_be_passed_over(annotate, tmp_path):
    make_coco(tmp_path / "made")
    truth = tmp_path / "made" / "annotations" / "instances_val2017.json"
    content = json.loads(truth.read_text())
    for record in content["annotations"]:
        record["iscrowd"] = 1
    truth.write_text(json.dumps(content))
    given = (truth, "--from-masks"), {"images": tmp_path / "made" / "val2017"}
    code, _, err = annotate(*given[0], **given[1])
    assert code == 2
    assert "9 of 9 annotations are crowd regions" in err
    assert "--keep-crowd takes them" in err
    code, out, _ = annotate(*given[0], "--keep-crowd", **given[1])
    assert (code, out.split(" ")[0]) == (0, "9")


def test_turned_photos_are_turned_for_every_reader(annotate, tmp_path, images):
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = np.zeros((60, 40, 3), np.uint8)
    Image.fromarray(photo).save(images / "a.jpg", exif=exif)
    points = write_csv(tmp_path / "p.csv", [("a.jpg", (2, 3, 50, 30), "cat")])
    assert annotate(points, "--format", "voc")[0] == 0
    assert Image.open(tmp_path / "out" / "JPEGImages" / "a.jpg").size == (60, 40)
    assert len(PascalInstances(tmp_path / "out", "train")) == 1


def test_bad_rows_are_named_and_the_rest_is_done(annotate, tmp_path, images):
    (images / "cut.jpg").write_bytes((images / "a.jpg").read_bytes()[:900])
    points = write_csv(
        tmp_path / "p.csv",
        [
            *OBJECTS,
            ("none.jpg", (1, 1, 5, 5), ""),
            ("cut.jpg", (1, 1, 5, 5), ""),
            ("a.jpg", (1, 1, 70, 5), ""),
            ("a.jpg", (4, 4, 4, 4), ""),
        ],
        ["a.jpg", 1, 2],
    )
    code, out, err = annotate(points)
    assert code == 1
    assert out.startswith("4 objects on 3 images")
    said = {line.split("p.csv:")[1].split(":")[0]: line for line in err.splitlines()[:-1]
            if "p.csv:" in line}  # fmt: skip
    assert {k: v.split(": ", 2)[2] for k, v in said.items()} == {
        "10": "expected 10 cells as in the headings, got 3",
        "6": f"{images / 'none.jpg'}: no such image file",
        "7": said["7"].split(": ", 2)[2],
        "8": "point (70, 1) lies outside the image of 60 x 40 pixels: "
        "expected 0 <= x <= 60 and 0 <= y <= 40",
        "9": "all 4 points are (4, 4): click four different extreme points of the object",
    }
    assert f"{images / 'cut.jpg'}: not a readable image" in said["7"]
    assert err.splitlines()[-1] == "5 rows were left out, see above"
    assert annotate(points)[0] == 1


def test_points_for_another_size_are_refused(annotate, tmp_path, points):
    annotate(points)
    content = json.loads((tmp_path / "out" / "instances.json").read_text())
    content["images"][0]["width"] = 61
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    code, _, err = annotate(other)
    assert code == 1
    assert "a.jpg is 60 x 40 pixels, but the points are for 61 x 40" in err


def test_masks_a_format_cannot_show(annotate, tmp_path):
    points = write_csv(tmp_path / "p.csv", [OBJECTS[0], OBJECTS[0]])
    assert annotate(points)[0] == 0
    code, out, err = annotate(points, "--format", "voc")
    assert code == 1
    assert out.startswith("1 objects on 1 images")
    assert "p.csv:2: lies behind other objects whole" in err


def test_image_without_a_mask_beside_one_with(annotate, tmp_path):
    points = write_csv(tmp_path / "p.csv", [OBJECTS[0], ("a.jpg", (1, 1, 99, 5), "cat")])
    for kind in ("coco", "png", "voc"):
        code, out, _ = annotate(points, "--format", kind)
        assert (code, out.split(":")[0]) == (1, "1 objects on 2 images")
    assert [i.name for i in FolderInstances(tmp_path / "out")] == ["b#1"]


@pytest.mark.parametrize(
    ("objects", "options", "message"),
    [
        ([], (), "no object could be annotated (0 rows were left out)"),
        ([("none.jpg", (1, 1, 5, 5), "")], (), "no object could be annotated (1 rows"),
        (OBJECTS, ("--threshold", "1"), "no object could be annotated (4 rows"),
        (OBJECTS, ("--images", "nowhere"), "nowhere: no such folder of images"),
        (OBJECTS, ("--output", "."), ". holds "),
        (OBJECTS, ("--output", "used"), "used holds other files"),
        (OBJECTS, ("--output", "used/file"), "used/file is a file"),
        (OBJECTS, ("--output", "used/file/out"), "used/file is not a folder"),
        (OBJECTS, ("--from-masks",), "masks to find points of are in a COCO file"),
    ],
)
def test_nothing_done(annotate, tmp_path, monkeypatch, objects, options, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").write_text("mine")
    code, out, err = annotate(write_csv(tmp_path / "p.csv", objects), *options)
    assert (code, out) == (2, "")
    assert message in err.splitlines()[-1]
    assert err.splitlines()[-1].startswith("error: ")
    assert not (tmp_path / "out" / "instances.json").exists()
    assert (tmp_path / "used" / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "options",
    [
        ("--simplify", "2"),
        ("--segmentation", "polygons", "--simplify", "nan"),
        ("--format", "voc", "--segmentation", "rle"),
        ("--format", "voc", "--split", "../x"),
        ("--split", "val"),
    ],
)
def test_options_that_do_not_go_together(annotate, points, options):
    with pytest.raises(SystemExit) as stop:
        annotate(points, *options)
    assert stop.value.code == 2


def test_goes_on_where_it_was_interrupted(annotate, points, tmp_path, monkeypatch, seen):
    assert annotate(points)[0] == 0
    whole = (tmp_path / "out" / "instances.json").read_bytes()
    (tmp_path / "out").rename(tmp_path / "first")
    assert seen == [1, 2, 1]
    counted = Predictor.predict_many

    def interrupted(*arguments):
        if len(seen) == 5:
            raise KeyboardInterrupt
        return counted(*arguments)

    monkeypatch.setattr(Predictor, "predict_many", interrupted)
    assert annotate(points)[0] == 130
    assert not (tmp_path / "out" / "instances.json").exists()
    monkeypatch.setattr(Predictor, "predict_many", counted)
    assert annotate(points)[0] == 0
    assert seen == [1, 2, 1, 1, 2, 1]
    assert (tmp_path / "out" / "instances.json").read_bytes() == whole


def test_only_what_changed_is_done_again(annotate, points, tmp_path, images, seen):
    annotate(points)
    annotate(points, "--format", "voc")
    assert seen == [1, 2, 1]
    renamed = [(image, box, label.upper()) for image, box, label in reversed(OBJECTS[:3])]
    moved = [*OBJECTS[:2], ("b.png", (10, 10, 15, 21), "cat"), OBJECTS[3]]
    annotate(write_csv(tmp_path / "p.csv", moved))
    assert seen == [1, 2, 1, 2]
    assert COCO(tmp_path / "out" / "instances.json").anns[3]["bbox"] == [10, 10, 6, 12]
    annotate(write_csv(tmp_path / "p.csv", renamed[1:2]))
    assert seen == [1, 2, 1, 2]
    Image.new("RGB", (60, 40), "red").save(images / "a.jpg")
    annotate(write_csv(tmp_path / "p.csv", moved))
    annotate(write_csv(tmp_path / "p.csv", moved), threshold=0.01)
    assert seen == [1, 2, 1, 2, 1, 1, 2, 1]
    for part in (tmp_path / "out" / ".parts").iterdir():
        part.write_text("[")
    annotate(write_csv(tmp_path / "p.csv", moved), threshold=0.01)
    assert seen == [1, 2, 1, 2, 1, 1, 2, 1, 1, 2, 1]


def test_two_processes_write_what_one_writes(annotate, points, tmp_path, images):
    assert annotate(points)[0] == 0
    command = [sys.executable, "-m", "dextr", "annotate", "--points", points, "--images", images]
    options = ["--output", "two", "--weights", "untrained", "--threshold", "0", "--device", "cpu"]
    said = run_pair([*command, *options], tmp_path, PYTHONPATH=str(ROOT))
    assert said.splitlines() == ["4 objects on 3 images: two/instances.json"]
    ours, theirs = (tmp_path / name / "instances.json" for name in ("out", "two"))
    assert theirs.read_bytes() == ours.read_bytes()
