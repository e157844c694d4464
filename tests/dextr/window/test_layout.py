import numpy as np
import pytest
from PIL import Image

from dextr.annotation.objects import AnnotatedImage, AnnotatedObject
from dextr.window.layout import Photos, SessionLayout, choose_layout
from dextr.window.session_file import SessionFile

ONE = Photos({"cat.jpg": ""}, "/photos")
TWO = Photos({"cat.jpg": "", "dog.jpg": ""}, "/photos")


def a_session(layout, folder="/photos", name="cat.jpg"):
    session = SessionFile(layout.session, folder)
    session.keep(AnnotatedImage(name, (3, 4)))
    session.write()


def test_beside_one_photo_s_png(tmp_path):
    layout = choose_layout(ONE, tmp_path / "new" / "cat.png")
    assert layout.session == tmp_path / "new" / "cat_session.json"
    assert layout.coco == tmp_path / "new" / "cat_instances.json"
    assert layout.pictures(["cat.jpg"])["cat.jpg"].labels == tmp_path / "new" / "cat.png"
    assert list(tmp_path.iterdir()) == []


def test_in_a_folder(tmp_path):
    layout = choose_layout(TWO, tmp_path / "out")
    assert (layout.session, layout.result) == (tmp_path / "out" / "session.json", tmp_path / "out")
    files = layout.pictures(["cat.jpg", "cat.png", "sub/cat.jpg", "dog.jpg"])
    names = [f.labels.relative_to(tmp_path / "out").as_posix() for f in files.values()]
    assert names == ["masks/cat_jpg.png", "masks/cat_png.png", "masks/sub_cat.png", "masks/dog.png"]


def test_other_work_of_that_name_is_stepped_aside_from(tmp_path):
    output = tmp_path / "cat.png"
    Image.new("L", (2, 2)).save(output)
    second = choose_layout(ONE, output)
    assert second.result == tmp_path / "cat-2.png"
    a_session(second, name="another.jpg")
    third = choose_layout(ONE, output)
    assert third.result == tmp_path / "cat-3.png"
    a_session(third)
    mask = np.ones((3, 4))
    objects = [AnnotatedObject.of_mask(mask, np.zeros((4, 2)), 0.5)]
    third.pictures(["cat.jpg"])["cat.jpg"].save_newest(objects)
    # Its own work is gone on with.
    assert choose_layout(ONE, output).result == tmp_path / "cat-3.png"
    assert choose_layout(Photos(ONE.sources, "/others"), output).result == tmp_path / "cat-4.png"


def test_the_folder_of_a_session_is_gone_on_with(tmp_path):
    a_session(choose_layout(TWO, tmp_path / "out"))
    assert choose_layout(TWO, tmp_path / "out").result == tmp_path / "out"
    assert choose_layout(ONE, tmp_path / "out").result == tmp_path / "out"


@pytest.mark.parametrize(
    ("photos", "output", "problem"),
    [
        (TWO, "cat.png", "give --output a folder, for several photos"),
        (ONE, "cat.jpg", "expected a folder or a file name that ends in .png"),
        (TWO, "notes", "notes is a file"),
        (TWO, "full", "full holds other files"),
        (Photos(TWO.sources, "/others"), "out", "about the photos in /photos, not in /others"),
        (TWO, "damaged", "not a readable session"),
    ],
)
def test_what_cannot_be_the_output(tmp_path, photos, output, problem):
    (tmp_path / "notes").write_text("")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thesis.pdf").write_text("")
    a_session(SessionLayout(tmp_path / "out"))
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "session.json").write_text("{")
    with pytest.raises(ValueError, match=problem):
        choose_layout(photos, tmp_path / output)
