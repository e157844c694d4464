import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.made import GivenPrediction

from dextr.geometry import CropWindow
from dextr.window.click_session import ClickSession

HW = (60, 80)
CLICKS = [(10, 30), (70, 30), (40, 5), (40, 55)]


def prediction(low=0.0, high=1.0):
    """Probabilities that rise evenly from the left column to the right one."""
    prob = np.tile(np.linspace(low, high, HW[1], dtype=np.float32), (HW[0], 1))
    points = np.array(CLICKS, dtype=np.float64)
    return GivenPrediction(prob, 0.8, points, CropWindow.around(points, HW))


def after_clicks(count=4, answered=True):
    session = ClickSession(HW, threshold=0.8)
    for x, y in CLICKS[:count]:
        session.click(x, y)
    if answered:
        session.receive(session.revision, prediction(), 0.25)
    return session


@pytest.mark.parametrize(
    ("clicks", "status"),
    [
        (0, "Object 1: click its left-, right-, top-, bottom-most points, in any order"),
        (1, "Object 1: 3 more points (left-, right-, top-, bottom-most, in any order)"),
        (3, "Object 1: 1 more point (left-, right-, top-, bottom-most, in any order)"),
        (4, "Object 1: the network is at work ..."),
    ],
)
def test_status_says_what_to_do_next(clicks, status):
    session = after_clicks(clicks, answered=False)
    assert session.status == status
    assert session.waiting == (clicks == 4)
    assert session.mask is None


def test_the_mask_appears_with_its_time():
    session = after_clicks()
    assert np.array_equal(session.mask, prediction().prob > 0.8)
    assert "mask after 0.25 s" in session.status
    assert not session.waiting


@pytest.mark.parametrize(
    ("point", "taken"),
    [
        ((-0.5, -0.5), True),
        ((79.5, 59.5), True),
        ((-0.6, 3), False),
        ((3, 59.6), False),
        ((80, 3), False),
        ((float("nan"), 3), False),
    ],
)
def test_clicks_beside_the_image_are_not_points(point, taken):
    session = ClickSession(HW, 0.8)
    session.click(*point)
    assert len(session.points) == taken
    assert ("outside the image" in session.note) != taken


def test_late_answers_are_dropped():
    session = after_clicks(answered=False)
    asked = session.revision
    session.undo()
    session.click(41, 56)
    session.receive(asked, prediction(), 0.1)
    assert session.mask is None
    assert session.waiting
    session.receive(asked, None, 0, "too late as well")
    assert session.waiting


def test_a_problem_is_shown_until_the_points_change():
    session = after_clicks(answered=False)
    session.receive(session.revision, None, 0, "all points are the same")
    assert session.status == "Object 1: all points are the same"
    assert not session.waiting
    assert not session.accept()
    session.undo()
    assert "1 more point" in session.status


def test_a_further_click_asks_again_and_keeps_the_mask_meanwhile():
    session = after_clicks()
    session.click(60, 50)
    assert session.waiting
    assert session.mask is not None
    assert not session.accept()


def test_accept_starts_the_next_object_in_order():
    session = after_clicks()
    assert session.accept()
    assert (session.number, session.points, session.mask) == (2, [], None)
    assert session.accepted[0].points.tolist() == [list(p) for p in CLICKS]
    assert (session.accepted[0].mask == (prediction().prob > 0.8)).all()


@pytest.mark.parametrize("clicks", [0, 3])
def test_nothing_to_accept(clicks):
    session = after_clicks(clicks, answered=False)
    assert not session.accept()
    assert "no mask" in session.note


def test_an_empty_mask_is_not_accepted():
    session = after_clicks(answered=False)
    session.receive(session.revision, prediction(high=0.5), 0.1)
    assert "no pixel is above the threshold 0.80" in session.status
    assert not session.accept()


def test_labels_run_out():
    session = after_clicks()
    session.accepted = [None] * 254
    assert not session.accept()
    assert "254 objects" in session.note


def test_accept_keeps_threshold_and_label():
    session = after_clicks()
    session.label = "cat"
    session.change_threshold(-0.1)
    assert session.status.startswith("Object 1 (cat): mask after")
    assert session.accept()
    assert (session.accepted[0].threshold, session.accepted[0].label) == (0.7, "cat")
    session.label = "dog"
    session.change_threshold(0.2)
    session.undo()
    assert (session.threshold, session.label) == (0.7, "cat")


def test_cleared_points_come_back():
    session = after_clicks()
    session.clear()
    assert (session.points, session.mask, session.waiting) == ([], None, False)
    session.click(1, 1)
    session.undo()
    session.undo()
    assert session.points == CLICKS
    assert session.waiting
    session.undo()
    assert session.points == CLICKS[:3]


def test_nothing_to_clear_is_no_change():
    session = after_clicks()
    session.accept()
    session.clear()
    assert session.note == "no points to clear"
    session.undo()
    assert session.note == "object 1 is open again"


@pytest.mark.parametrize(
    ("to", "lands"), [((12, 31), (12, 31)), ((-7, 31), (0, 31)), ((100, 99), (79, 59))]
)
def test_a_point_moves_within_the_image_and_back(to, lands):
    session = after_clicks()
    session.move(0, *to)
    assert session.points == [lands, *CLICKS[1:]]
    assert session.waiting
    assert session.mask is not None
    session.undo()
    assert session.points == CLICKS


@pytest.mark.parametrize("clicks", [0, 2, 5])
def test_a_record_is_gone_on_with(clicks):
    session = after_clicks()
    session.label = "cat"
    session.accept()
    for k in range(clicks):
        session.click(k, 2 * k)
    session.label = "dog"
    session.change_threshold(-0.05)
    again = ClickSession.of_record(session.record("a.jpg"), 0.5, "bird")
    assert again.points == session.points
    assert [o.label for o in again.accepted] == ["cat"]
    assert (again.accepted[0].mask == session.accepted[0].mask).all()
    # What was chosen for an object in work stays; with none, the window's choice goes on.
    assert (again.threshold, again.label) == ((0.75, "dog") if clicks else (0.5, "bird"))
    assert again.waiting == (clicks >= 4)
    again.undo()
    assert again.points == (session.points[:-1] if clicks else CLICKS)


def test_a_record_holds_no_masks_in_memory():
    session = after_clicks()
    session.accept()
    assert session.accepted[0].mask.any()
    assert "mask" not in vars(session.record("a.jpg").objects[0])


def test_undo_takes_points_then_opens_the_last_object_again():
    session = after_clicks()
    session.accept()
    session.click(1, 2)
    session.undo()
    assert session.points == []
    session.undo()
    assert session.points == CLICKS
    assert session.waiting
    assert session.mask is None
    assert session.note == "object 1 is open again"
    for _ in CLICKS:
        session.undo()
    session.undo()
    assert session.note == "nothing to undo"


def test_the_threshold_moves_the_mask_at_once_and_stays_in_range():
    session = after_clicks()
    areas = []
    for _ in range(30):
        areas.append(session.mask.sum())
        session.change_threshold(-0.05)
    assert areas == sorted(areas)
    assert areas[0] < areas[5] < areas[10]
    assert session.threshold == 0.05
    for _ in range(30):
        session.change_threshold(0.05)
    assert session.threshold == 0.95
    assert session.note == "threshold 0.95"


STEPS = st.lists(
    st.sampled_from(
        ["click", "click", "click", "undo", "clear", "move", "accept", "answer", "lower"]
    ),
    max_size=60,
)


@given(STEPS)
def test_any_order_of_steps_keeps_the_session_sound(steps):
    session = ClickSession(HW, 0.8)
    before = []  # the points of the current object, before each of its changes
    for k, step in enumerate(steps):
        accepted, points = len(session.accepted), list(session.points)
        if step == "click":
            session.click(k % 80, k % 60)
            assert session.points == [*points, (k % 80, k % 60)]
        elif step == "move" and points:
            session.move(k % len(points), 7, k % 60)
            assert [p for p in session.points if p not in points] in ([], [(7, k % 60)])
        elif step == "clear":
            session.clear()
            assert session.points == []
        elif step == "undo":
            session.undo()
            if before:
                assert session.points == before.pop()
            else:
                assert len(session.accepted) == max(accepted - 1, 0)
                before = [session.points[:n] for n in range(len(session.points))]
        elif step == "accept":
            taken = session.accept()
            assert len(session.accepted) == accepted + taken
            assert session.points == ([] if taken else points)
            before = [] if taken else before
        elif step == "answer":
            session.receive(session.revision, prediction(), 0.1)
        else:
            session.change_threshold(-0.05)
        if step == "click" or (step in ("move", "clear") and points):
            before.append(points)
        assert session.number == len(session.accepted) + 1
        assert session.status.startswith(f"Object {session.number}: ")
        assert all(o.mask.any() and len(o.points) >= 4 for o in session.accepted)
