import numpy as np
import pytest
import torch
from support.exported import small_loaded

from dextr.common.example_photos import OBJECTS, Scene, example_scene, made_scene
from dextr.export.agreement import Agreement, Answer, agreement_table, answer, compare
from dextr.geometry import CropWindow
from dextr.inputs import decode, encode
from dextr.points import check_points, place_clicks

EMPTY = np.zeros((4, 5), bool)
LEFT = EMPTY.copy()
LEFT[:, :2] = True


def reply(logit, *masks):
    return Answer(np.zeros((1, 4, 2, 2)), np.full((1, 2, 2), logit, np.float32), list(masks))


SCENE = Scene("x", np.zeros((4, 5, 3), np.uint8), [])


@pytest.mark.parametrize(
    ("expected", "got", "exact", "difference", "pixels", "iou", "good"),
    [
        (reply(1.0, EMPTY), reply(1.0, EMPTY), True, 0, 0, 1, True),
        (reply(1.0, LEFT), reply(1.0005, LEFT), True, 5e-4, 0, 1, True),
        (reply(1.0, LEFT), reply(0.998, LEFT), True, 2e-3, 0, 1, False),
        (reply(1.0, LEFT), reply(1.0, LEFT[:, ::-1]), True, 0, 16, 0, False),
        (reply(1.0, LEFT), reply(1.0, EMPTY), False, 0, 8, 0, False),
        (reply(1.0, LEFT), reply(2.0, LEFT), False, 1, 0, 1, True),
        (reply(1.0, LEFT, EMPTY), reply(1.0, LEFT, LEFT), False, 0, 8, 0.5, False),
    ],
)
def test_compare(expected, got, exact, difference, pixels, iou, good):
    row = compare(SCENE, expected, got, 3, exact)
    assert (row.scene, row.batch, row.pixels, row.iou) == ("x", 3, pixels, iou)
    assert row.difference == pytest.approx(difference, rel=1e-3)
    assert row.good is good


def test_logits_that_are_not_numbers_are_not_good():
    assert not compare(SCENE, reply(1.0, EMPTY), reply(np.nan, EMPTY), 1, True).good


def test_table_says_what_failed():
    rows = [Agreement("a", 1, 0.0, 0, 1.0), Agreement("b", 1, 1.0, 0, 1.0)]
    lines = agreement_table(rows).splitlines()
    assert [line.split()[-1] for line in lines[1:]] == ["ok", "FAILED"]


def test_answer_is_the_networks():
    """The same, step by step."""
    loaded, scene = small_loaded(), made_scene(3)
    got = answer(loaded.network, loaded.about, scene, batch=2)
    for k, points in enumerate(scene.objects):
        clicks = check_points(points, (300, 400))
        window = CropWindow.around(clicks, (300, 400), loaded.about.relax, loaded.about.size)
        encoded = encode(scene.image, window, place_clicks(clicks, window))
        np.testing.assert_array_equal(got.inputs[k], encoded)
        with torch.no_grad():
            logits = loaded.network(torch.from_numpy(encoded)[None])[0, 0].numpy()
        np.testing.assert_allclose(got.logits[k], logits, atol=1e-4)
        mask = decode(got.logits[k], window) > loaded.about.threshold
        np.testing.assert_array_equal(got.masks[k], mask)
    assert len(got.masks) == len(got.logits) == 3


@pytest.mark.parametrize("name", [*OBJECTS, "noise"])
def test_scenes_can_be_cut_out(name):
    scene = made_scene() if name == "noise" else example_scene(name)
    assert scene.image.dtype == np.uint8
    assert scene.image.shape[2] == 3
    for points in scene.objects:
        x, y = check_points(points, scene.image.shape[:2]).T
        assert (x.argmin(), x.argmax(), y.argmin(), y.argmax()) == (0, 1, 2, 3)
