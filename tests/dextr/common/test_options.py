import argparse
import math

import numpy as np
import pytest

from dextr.common.options import PROBABILITY, Number, PlainName, real, whole


@pytest.mark.parametrize(
    ("numbers", "inside", "outside"),
    [
        (whole(0), [0, 1, 2**31 - 1, np.int64(3)], [-1, 2**31, 1.0, True, None, "1", math.inf]),
        (whole(16, 2048), [16, 2048, np.uint8(16)], [15, 2049, 16.5]),
        (PROBABILITY, [0, 0.0, 1, 0.5, np.float32(0.5)], [-1e-9, 1.001, math.nan, True, None]),
        (real(0, 1, below=True), [0, 0.999], [1, 1.0, math.inf, -math.inf, math.nan]),
    ],
)
def test_ranges(numbers: Number, inside, outside):
    assert [value in numbers for value in inside] == [True] * len(inside)
    assert [value in numbers for value in outside] == [False] * len(outside)


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        (whole(0), "a whole number of 0 or more"),
        (whole(1, 65_535), "a whole number from 1 to 65535"),
        (real(0, 1), "a number from 0 to 1"),
        (real(0, 1, below=True), "a number from 0 to less than 1"),
    ],
)
def test_what_is_wrong_is_said_in_words(numbers, words):
    for text in ("", "x", "nan", "-1", "1e400"):
        with pytest.raises(argparse.ArgumentTypeError) as caught:
            numbers(text)
        assert str(caught.value) == f"expected {words}, got {text!r}"


def test_texts_become_numbers_of_the_kind():
    assert (whole(1)("7"), real(0)("7")) == (7, 7.0)
    assert isinstance(real(0)("7"), float)


@pytest.mark.parametrize("name", ["", ".", "..", "-a", "a/b", "a b", "*", "[a]", "a\n", None])
def test_names_that_are_not_plain(name):
    assert name not in PlainName()
    assert "run-1.a_B" in PlainName()
