import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dextr.annotation.objects import AnnotatedImage, AnnotatedObject
from dextr.window.session_file import SessionFile

HW = (6, 9)
POINTS = np.array([[1.0, 2.0], [7.5, 2.25], [4.0, 0.0], [4.0, 5.0], [6.0, 4.0]])


def an_object(seed, label="object"):
    mask = np.random.default_rng(seed).random(HW) < 0.5
    return AnnotatedObject.of_mask(mask, POINTS, threshold=0.65, label=label)


def a_session(path):
    session = SessionFile(path, "/photos")
    session.current = "b/ü.jpg"
    draft = AnnotatedObject(1, "dog", np.array([(0.5, 1.5), (8.49, -0.5)]), 0.3)
    session.keep(AnnotatedImage("a.jpg", HW, [an_object(0, "cat"), an_object(1)]))
    session.keep(AnnotatedImage("b/ü.jpg", HW, draft=draft))
    return session


def test_what_is_written_is_read_again(tmp_path):
    written = a_session(tmp_path / "out" / "session.json")
    written.write()
    read = SessionFile.read(written.path)
    assert (read.folder, read.current, read.count) == ("/photos", "b/ü.jpg", 2)
    assert read.labels == ["cat", "object", "dog"]
    assert list(read.images) == ["a.jpg", "b/ü.jpg"]
    for old, new in zip(written.images.values(), read.images.values(), strict=True):
        assert (new.hw, len(new.objects)) == (old.hw, len(old.objects))
        for a, b in [(old.draft, new.draft)] if old.draft else []:
            assert (b.label, b.threshold, b.points.tolist()) == ("dog", 0.3, a.points.tolist())
        for a, b in zip(old.objects, new.objects, strict=True):
            assert (b.label, b.threshold) == (a.label, a.threshold)
            assert (b.points == a.points).all()
            assert (b.mask == a.mask).all()


def test_a_line_per_photo(tmp_path):
    session = a_session(tmp_path / "session.json")
    session.write()
    lines = session.path.read_text().splitlines()
    assert len(lines) == 4
    assert json.loads(lines[1].rstrip(","))["file_name"] == "a.jpg"


def test_nothing_done_nothing_written(tmp_path):
    SessionFile(tmp_path / "session.json", "/photos").write()
    assert list(tmp_path.iterdir()) == []


def test_in_memory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    session = a_session(None)
    session.write()
    assert session.count == 2
    assert list(tmp_path.iterdir()) == []


def test_what_another_program_wrote_is_not_written_over(tmp_path):
    first, second = (a_session(tmp_path / "session.json") for _ in range(2))
    second.keep(AnnotatedImage("c.jpg", HW))
    second.write()
    with pytest.raises(ValueError, match="changed by another window or program"):
        first.write()
    assert "c.jpg" in SessionFile.read(second.path).images
    second.write()


def damaged(change):
    def apply(content):
        change(content)
        return json.dumps(content)

    return apply


def first_image(**values):
    return damaged(lambda content: content["images"][0].update(values))


def first_object(**values):
    return damaged(lambda content: content["images"][0]["objects"][0].update(values))


def draft(**values):
    return damaged(lambda content: content["images"][1]["draft"].update(values))


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (lambda content: "", "Expecting value"),
        (lambda content: json.dumps(content)[:-40], "Expecting|Unterminated"),
        (lambda content: "[]", "list indices"),
        (lambda content: "{}", "no 'dextr_session'"),
        (lambda content: "[" * 100_000, "recursion|Expecting"),
        (damaged(lambda content: content.update(dextr_session=2)), "version 1 .* got 2"),
        (damaged(lambda content: content.update(folder=None)), "expected text, got None"),
        (damaged(lambda content: content.update(images=[7])), "not subscriptable"),
        (damaged(lambda content: content["images"].append(content["images"][0])), "there twice"),
        (first_image(height=0), "height or width in pixels, got 0 and 9"),
        (first_image(width=True), "height or width in pixels, got 6 and True"),
        (first_image(width=8), "do not fit the image"),
        (first_image(height=10**9), "expected an image of 1 to"),
        (first_image(objects=None), "not iterable"),
        (first_object(threshold=float("nan")), "threshold in 0..1, got nan"),
        (first_object(label=3), "label in words"),
        (first_object(points=[[1, 2]] * 3), "at least 4 points"),
        (first_object(points=[[1, 2], [3, 4], [5, 60], [0, 0]]), "outside the image"),
        (first_object(segmentation=[[0, 0, 5, 0, 5, 5]]), "compressed run lengths"),
        (first_object(segmentation={"size": [6, 9], "counts": "0"}), "cover 0 pixels"),
        (first_object(segmentation={"size": [6, 9], "counts": "f1"}), "mask without pixels"),
        (first_object(segmentation={"size": [6, 9], "counts": "o" * 300_000}), "more than 60 bits"),
        (draft(points=[[1]]), "reshape"),
        (draft(points=[[1, float("inf")]]), "outside the image"),
        (draft(threshold="0.5"), "threshold in 0..1, got '0.5'"),
    ],
)
def test_a_damaged_file_is_named_and_left_alone(tmp_path, damage, reason):
    session = a_session(tmp_path / "session.json")
    session.write()
    session.path.write_text(damage(json.loads(session.path.read_text())))
    before = session.path.read_bytes()
    with pytest.raises(ValueError, match=rf"session\.json: not a readable session \(.*{reason}"):
        SessionFile.read(session.path)
    assert session.path.read_bytes() == before


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    path = tmp_path_factory.mktemp("any") / "session.json"
    a_session(path).write()
    return path, path.read_text()


@given(st.data())
def test_whatever_is_in_the_file_it_is_read_or_refused(written, data):
    path, text = written
    content = json.loads(text)
    junk = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
        max_leaves=4,
    )
    place = content
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or not place[key] or data.draw(st.booleans()):
            break
        place = place[key]
    place[key] = data.draw(junk)
    path.write_text(json.dumps(content))
    try:
        session = SessionFile.read(path)
    except ValueError as error:
        assert "session.json" in str(error)  # noqa: PT017
    else:
        assert all(o.mask.any() for r in session.images.values() for o in r.objects)
