import json

import numpy as np
import pytest
from PIL import Image
from pycocotools.coco import COCO
from support.click_window import CLICKS, StubPredictor

from dataloaders.coco import CocoInstances
from dextr.annotation.points_file import read_points
from dextr.window.layout import Photos, SessionLayout
from dextr.window.project import AnnotationProject

HW = (60, 80)


@pytest.fixture
def folder(tmp_path):
    """Three photos; the second is damaged."""
    for k in range(3):
        Image.new("RGB", (80, 60), (k, 0, 0)).save(tmp_path / f"{k}.png")
    (tmp_path / "1.png").write_bytes(b"damaged")
    return tmp_path


@pytest.fixture
def start(folder):
    def new(labels=("cat", "dog"), names=("0.png", "1.png", "2.png")):
        photos = Photos.find([folder / name for name in names])
        return AnnotationProject(photos, 0.8, SessionLayout(folder / "out"), labels)

    return new


def cut_out(project, clicks=CLICKS, accept=True):
    session = project.session
    for x, y in clicks:
        session.click(x, y)
    prediction = StubPredictor().predict(project.image, session.points)
    session.receive(session.revision, prediction, 0.1)
    if accept:
        assert session.accept()
    project.keep()


def test_photos_that_cannot_be_read_are_passed_over(start):
    project = start()
    assert (project.name, project.title) == ("0.png", "1/3  0.png, 80 x 60 pixels")
    assert project.step(1)
    assert (project.name, project.image[0, 0, 0]) == ("2.png", 2)
    assert "1.png: not a readable image" in project.session.note
    assert not project.step(1)
    assert project.session.note == "this is the last image"
    assert project.step(-1)
    assert project.name == "0.png"


def test_the_end_is_said_with_what_is_wrong_there(start):
    project = start(names=("0.png", "1.png"))
    assert not project.step(1)
    assert project.session.note.startswith("this is the last image (")
    assert "1.png: not a readable image" in project.session.note


def test_none_of_the_photos_can_be_read(start):
    with pytest.raises(ValueError, match=r"1\.png: not a readable image"):
        start(names=("1.png",))


def test_the_next_start_opens_the_photo_that_was_open(start):
    project = start()
    cut_out(project)
    project.step(1)
    project.session.label = "dog"
    cut_out(project, accept=False)
    again = start()
    assert again.name == "2.png"
    assert again.session.points == CLICKS
    assert again.session.label == "dog"
    assert again.session.note == "Going on with 1 object on 1 image."
    # Should that photo not be among those given, the work on it stays in the file.
    other = start(names=("0.png",))
    assert len(other.session.accepted) == 1
    cut_out(other)
    last = start()
    last.step(1)
    assert last.session.points == CLICKS


def test_threshold_and_label_go_along_to_the_next_photo(start):
    project = start()
    project.choose_label(2)
    project.session.change_threshold(-0.3)
    project.step(1)
    assert (project.session.label, project.session.threshold) == ("dog", 0.5)


def test_a_photo_that_was_replaced_is_not_annotated_wrongly(start, folder):
    cut_out(start())
    Image.new("RGB", (90, 60)).save(folder / "0.png")
    project = start()
    assert project.name == "2.png"
    assert "0.png is 90 x 60 pixels, but was 80 x 60" in project.session.note


def test_labels_of_the_session_stay_known(start):
    cut_out(start(labels=["bird", "cat"]))
    assert start(labels=["dog"]).labels == ["dog", "bird"]
    assert start(labels=[]).labels == ["bird"]


def test_the_export_loads_everywhere(start, folder, monkeypatch):
    monkeypatch.setenv("DEXTR_CACHE", str(folder / "cache"))
    project = start(labels=["dog", "cat", "unused"])
    masks = []
    for label in (2, 1):
        project.choose_label(label)
        cut_out(project)
        masks.append(project.session.accepted[-1].mask)
    project.step(1)
    cut_out(project, [*CLICKS, (60, 50)])
    masks.append(project.session.accepted[-1].mask)
    project.save()
    path = folder / "out" / "instances.json"

    coco = COCO(path)
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == ["dog", "cat", "unused"]
    annotations = coco.loadAnns(coco.getAnnIds())
    assert [a["category_id"] for a in annotations] == [2, 1, 1]
    assert [a["image_id"] for a in annotations] == [1, 1, 2]
    assert [len(a["extreme_points"]) for a in annotations] == [4, 4, 5]
    for annotation, mask in zip(annotations, masks, strict=True):
        assert (coco.annToMask(annotation) == mask).all()

    instances = CocoInstances(path, folder)
    assert [instances.category_names[instances[k].category] for k in range(3)] == [
        "cat",
        "dog",
        "dog",
    ]
    assert all((instances[k].mask == mask).all() for k, mask in enumerate(masks))

    points = read_points(path)
    assert points.problems == []
    assert [entry.image for entry in points.objects] == ["0.png", "0.png", "2.png"]
    assert points.objects[2].points.tolist() == [list(p) for p in [*CLICKS, (60, 50)]]


def test_save_keeps_up_with_what_is_taken_back(start, folder):
    project = start()
    cut_out(project)
    project.save()
    project.session.undo()
    project.session.clear()
    project.save()
    content = json.loads((folder / "out" / "instances.json").read_text())
    assert content["annotations"] == []
    with Image.open(folder / "out" / "masks" / "0.png") as png:
        assert not np.asarray(png).any()
