"""A few odd inputs of each kind; `make fuzz` tries ten thousand."""

import numpy as np
import pytest
from fuzz.cases import CATEGORIES, ERROR, FAILURE, RESULT, try_case
from fuzz.prediction import check_prediction, small_predictor
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dextr.annotation.objects import points_of
from dextr.points import check_points

HW = (40, 60)


@pytest.mark.parametrize("category", CATEGORIES)
def test_odd_inputs_give_a_right_result_or_a_clear_error(category):
    # A process is started for each exported file.
    tries = 12 if category == "exported file" else 40
    outcomes = [try_case(category, seed) for seed in range(tries)]
    assert [o for o in outcomes if o.kind == FAILURE] == []
    assert {o.kind for o in outcomes} == {RESULT, ERROR}


def test_a_case_is_the_same_every_time():
    assert try_case("points file", 3) == try_case("points file", 3)


def test_wrong_answers_are_noticed(monkeypatch):
    def case(rng, folder):
        raise [IndexError("x"), ValueError("two\nlines"), ValueError("fine")][rng.randrange(3)]

    monkeypatch.setitem(CATEGORIES, "predict", (case, 1))
    kinds = {try_case("predict", seed).kind for seed in range(20)}
    assert kinds == {FAILURE, ERROR}


def answer(function, *arguments):
    """Return what a function gives; None if it says on one line what is wrong."""
    try:
        return function(*arguments)
    except ValueError as error:
        message = str(error)
    assert len(message.splitlines()) == 1
    return None


NUMBER = st.one_of(
    st.floats(), st.integers(), st.booleans(), st.complex_numbers(), st.text(max_size=3)
)
INSIDE = st.tuples(st.floats(-0.5, 59.5), st.floats(-0.5, 39.5))
ANYTHING = st.recursive(
    NUMBER | st.none(), lambda inner: st.lists(inner, max_size=5), max_leaves=20
)


@given(
    points=st.lists(INSIDE, min_size=4, max_size=8) | st.lists(INSIDE | st.tuples(NUMBER, NUMBER))
)
@example(points=[(-0.5, -0.5), (59.5, -0.5), (59.5, 39.5), (-0.5, 39.5)])
@settings(max_examples=60)
def test_points_on_and_beside_an_image(points):
    image = np.full((*HW, 3), 90, np.uint8)
    found = answer(small_predictor().predict, image, points)
    if found is not None:
        check_prediction(found, {HW})


@given(points=ANYTHING)
@settings(max_examples=100)
def test_anything_as_points(points):
    for array in (answer(points_of, points), answer(check_points, points, HW)):
        if array is not None:
            assert array.shape == (len(points), 2) or np.ndim(points) == 1
            assert len(array) >= 4
            assert array.dtype == np.float64
