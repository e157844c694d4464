"""Cases for the click window's session file."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
from fuzz.damage import damaged, replace_somewhere

from dextr.annotation.objects import AnnotatedImage, AnnotatedObject
from dextr.points import check_points
from dextr.window.session_file import SessionFile

HW = (20, 30)
MOST_PIXELS = 10**6


def read(rng: random.Random, folder: Path) -> None:
    """Read one odd session; right are masks and points that fit, and the same after writing again.

    Raises:
        ValueError: The file cannot be used.
        AssertionError: The answer is not right, or the file was changed.
    """
    path = folder / "session.json"
    content = _content(rng, folder)
    path.write_bytes(content)
    try:
        session = SessionFile.read(path)
    finally:
        assert path.read_bytes() == content
    for record in session.images.values():
        for annotated in record.objects:
            assert (check_points(annotated.points, record.hw) == annotated.points).all()
            assert 0 <= annotated.threshold <= 1
            if record.hw[0] * record.hw[1] <= MOST_PIXELS:
                assert annotated.mask.shape == record.hw
                assert annotated.mask.any()
    session.current += " "
    session.write()
    again = SessionFile.read(path) if session.images else session
    assert (again.folder, again.current) == (session.folder, session.current)
    assert list(again.images) == list(session.images)
    assert again.count == session.count


def _content(rng: random.Random, folder: Path) -> bytes:
    session = SessionFile(folder / "whole.json", "/photos")
    values = np.random.default_rng(rng.randrange(2**32))
    for k in range(1, rng.choice((2, 2, 4))):
        objects = [
            AnnotatedObject.of_mask(
                values.random(HW) < 0.5, values.uniform(0, 19, (4, 2)), threshold=0.5, label="cat"
            )
            for _ in range(rng.randrange(3))
        ]
        clicks = rng.choice((None, [(1.0, 2.0)], []))
        points = np.array(clicks or [], float).reshape(-1, 2)
        draft = None if clicks is None else AnnotatedObject(1, "cat", points, 0.5)
        session.keep(AnnotatedImage(f"{k}.jpg", HW, objects, draft=draft))
    session.write()
    assert session.path is not None
    value: object = json.loads(session.path.read_bytes())
    for _ in range(rng.choice((0, 0, 0, 1, 1, 3))):
        value = replace_somewhere(rng, value)
    text = json.dumps(value)
    if rng.random() < 0.05:
        text = rng.choice(("[", '{"images":', '{"images":[')) * rng.choice((9, 100_000))
    content = text.encode(rng.choice((*("utf-8",) * 9, "utf-16", "utf-8-sig", "utf-32")), "replace")
    return damaged(rng, content) if rng.random() < 0.2 else content
