import os

import numpy as np
import pytest
from PIL import Image

from dextr.window.layout import Photos, read_labels


@pytest.fixture
def tree(tmp_path):
    """Photos in a folder and one below it, among other files; red says which is which."""
    (tmp_path / "sub").mkdir()
    for red, name in enumerate(["b.jpg", "a.PNG", "sub/c.png"], 1):
        Image.new("RGB", (4, 3), (red * 50, 0, 0)).save(tmp_path / name)
    for name in ["notes.txt", ".hidden.png", "list.json"]:
        (tmp_path / name).write_text("")
    return tmp_path


def test_a_folder_is_its_photos_by_name(tree):
    photos = Photos.find([tree])
    assert photos.names == ["a.PNG", "b.jpg"]
    assert photos.folder == str(tree)
    assert photos.read("a.PNG").tolist() == [[[100, 0, 0]] * 4] * 3


def test_files_keep_their_order_and_come_once(tree):
    given = [tree / "sub" / "c.png", tree / "a.PNG", tree / "sub" / ".." / "a.PNG", tree / "sub"]
    photos = Photos.find(given)
    assert photos.names == ["sub/c.png", "a.PNG"]
    assert photos.folder == str(tree)
    assert photos.read("sub/c.png")[0, 0].tolist() == [150, 0, 0]


def test_one_file_is_named_without_its_folder(tree, monkeypatch):
    monkeypatch.chdir(tree / "sub")
    photos = Photos.find(["c.png"])
    assert (photos.names, photos.folder) == (["c.png"], os.getcwd())


def test_a_file_is_read_when_it_is_asked_for(tree):
    (tree / "a.PNG").write_bytes(b"damaged")
    photos = Photos.find([tree])
    assert photos.read("b.jpg").shape == (3, 4, 3)
    with pytest.raises(ValueError, match=r"a\.PNG: not a readable image"):
        photos.read("a.PNG")


def test_a_photo_in_memory():
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    photos = Photos({"grey": grey})
    assert (photos.names, photos.folder) == (["grey"], "")
    assert (photos.read("grey") == grey[:, :, None]).all()


@pytest.mark.parametrize(
    ("name", "problem"),
    [("missing.jpg", "no such image file or folder"), ("empty", "no image in this folder")],
)
def test_what_is_not_there_is_named(tree, name, problem):
    (tree / "empty").mkdir()
    with pytest.raises(ValueError, match=f"{name}: {problem}"):
        Photos.find([tree, tree / name])


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("person", ["person"]),
        ("person,dog", ["person", "dog"]),
        (" traffic light , dog,,dog ", ["traffic light", "dog"]),
    ],
)
def test_labels_in_words(text, labels):
    assert read_labels(text) == labels


@pytest.mark.parametrize("name", ["labels.txt", "labels"])
def test_labels_in_a_file_may_hold_commas(tmp_path, name):
    path = tmp_path / name
    path.write_bytes("\ufeffperson\r\n\r\n chair, broken \nMöbel\n".encode())
    assert read_labels(str(path)) == ["person", "chair, broken", "Möbel"]


def test_bad_labels_are_explained(tmp_path):
    with pytest.raises(ValueError, match="no labels in it"):
        read_labels(" , ")
    with pytest.raises(ValueError, match=r"missing\.txt: not readable"):
        read_labels(str(tmp_path / "missing.txt"))
    (tmp_path / "latin.txt").write_bytes(b"M\xf6bel")
    with pytest.raises(ValueError, match=r"latin\.txt: not text in UTF-8"):
        read_labels(str(tmp_path / "latin.txt"))
