"""MAT-files, against SciPy's reader; damage, which that one does not survive."""

import io
import zlib
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from scipy.io import loadmat, savemat
from scipy.sparse import csc_matrix

from dataloaders.sbd import HEADER_BYTES, read_struct

DTYPES = st.sampled_from(["u1", "i1", "u2", "i2", "i4", "u4", "f4", "f8", "i8", "u8"])
matrices = DTYPES.flatmap(
    lambda dtype: arrays(dtype, array_shapes(min_dims=2, max_dims=3, min_side=0, max_side=5))
)


def written(truth, compressed=False, name="GTinst"):
    file = io.BytesIO()
    savemat(file, {"before": np.eye(2), name: truth, "after": "text"}, do_compression=compressed)
    return file.getvalue()


SMALL = {
    "Segmentation": np.arange(6, dtype=np.uint8).reshape(2, 3),
    "Categories": np.array([[3.0], [4.0]]),
    "Boundaries": np.array([csc_matrix(np.eye(3)), np.eye(2), "x"], object),
}


@given(matrices, matrices, st.booleans())
@example(np.zeros((0, 0), np.uint8), np.zeros((1, 1)), False)
def test_numbers_are_what_scipy_reads(first, second, compressed):
    content = written({"Segmentation": first, "b": second, "c": "text"}, compressed)
    theirs = loadmat(io.BytesIO(content))["GTinst"][0, 0]
    ours = read_struct(content, "GTinst")
    assert set(ours) == {"Segmentation", "b"}
    for name, values in ours.items():
        np.testing.assert_array_equal(values, theirs[name])


@pytest.mark.parametrize("compressed", [False, True])
def test_other_fields_are_passed_over(compressed):
    found = read_struct(written(SMALL, compressed), "GTinst")
    np.testing.assert_array_equal(found["Segmentation"], SMALL["Segmentation"])
    assert found["Categories"].ravel().tolist() == [3, 4]


@pytest.mark.parametrize("compressed", [False, True])
@given(place=st.integers(0, 10**6), value=st.integers(0, 255), count=st.integers(1, 8))
def test_damage_is_a_value_error_or_does_no_harm(compressed, place, value, count):
    content = bytearray(written(SMALL, compressed))
    place = HEADER_BYTES + place % (len(content) - HEADER_BYTES)
    content[place : place + count] = bytes([value] * count)
    with suppress(ValueError):
        found = read_struct(bytes(content), "GTinst")
        assert all(isinstance(array, np.ndarray) for array in found.values())


@given(st.integers(0, 2000))
def test_a_file_that_is_cut_off_is_refused(left):
    content = written(SMALL)
    end = content.index(b"after") - 48
    with pytest.raises(ValueError):  # noqa: PT011
        read_struct(content[: min(left, end - 100)], "GTinst")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no MAT-file"),
        (written(SMALL)[:126] + b"MI" + written(SMALL)[128:], "no MAT-file"),
        (written(SMALL)[:128], "no GTinst in it"),
        (written(SMALL, name="other"), "no GTinst in it"),
    ],
)
def test_what_is_none_is_said(content, message):
    with pytest.raises(ValueError, match=message):
        read_struct(content, "GTinst")


def test_a_matrix_of_that_name_has_no_fields():
    assert read_struct(written(np.eye(2)), "GTinst") == {}


def test_a_part_that_inflates_without_end_is_refused(monkeypatch):
    monkeypatch.setattr("dataloaders.sbd.MOST_BYTES", 1000)
    bomb = zlib.compress(bytes(10_000))
    content = written(SMALL)[:128] + (15).to_bytes(4, "little") + len(bomb).to_bytes(4, "little")
    with pytest.raises(ValueError, match="of more than 1000 bytes"):
        read_struct(content + bomb, "GTinst")
