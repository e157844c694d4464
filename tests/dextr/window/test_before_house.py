"""A session that the code of commit fb94fdf left in the middle of an object goes on."""

import shutil

import numpy as np
import pytest
from PIL import Image
from support.golden import FOLDER

from dextr.window.layout import Photos, SessionLayout
from dextr.window.project import AnnotationProject

OLD = FOLDER / "before_house" / "session"
NAMES = ("a.png", "b.png", "s/c d.png")


@pytest.fixture
def project(tmp_path):
    shutil.copytree(OLD, tmp_path / "out")
    photo = np.full((60, 80, 3), 90, np.uint8)
    photos = Photos(dict.fromkeys(NAMES, photo), "/photos")
    return AnnotationProject(photos, 0.8, SessionLayout(tmp_path / "out"), ["cat", "dog"])


def test_it_opens_where_it_was_left(project):
    session = project.session
    assert (project.name, session.label, session.threshold) == ("s/c d.png", "dog", 0.5)
    assert session.points == [(1.5, 2.25), (8.5, 3.0)]
    assert session.note == "Going on with 3 objects on 2 images."
    assert [int(o.mask.sum()) for o in session.accepted] == [int((masks()[1] == 1).sum())]


def masks():
    return [np.asarray(Image.open(OLD / "masks" / f"{name}.png")) for name in ("a", "s_c_d")]


def test_it_is_written_as_it_was_to_the_byte(project, tmp_path):
    for name in ("session.json", "instances.json", "masks/s_c_d.png"):
        (tmp_path / "out" / name).unlink()
    project.file._seen = ()
    project.save()
    for name in ("session.json", "instances.json"):
        assert (tmp_path / "out" / name).read_bytes() == (OLD / name).read_bytes()
    project.step(-1)
    project.step(-1)
    project.save()
    for name, old in zip(("a", "s_c_d"), masks(), strict=True):
        with Image.open(tmp_path / "out" / "masks" / f"{name}.png") as png:
            assert png.mode == "P"
            np.testing.assert_array_equal(np.asarray(png), old)
