"""Masks as run lengths, exactly."""

import json

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco_mask
from support.trees import uncompressed_rle

from dextr.common.coco_json import read_coco
from dextr.common.rle import mask_to_rle, rle_to_mask

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14))


class TestRunLengths:
    @given(masks)
    @example(np.zeros((3, 2), bool))
    def test_come_back_exactly_also_through_json(self, mask):
        rle = mask_to_rle(mask)
        np.testing.assert_array_equal(rle_to_mask(json.loads(json.dumps(rle))), mask)
        np.testing.assert_array_equal(coco_mask.decode(rle), mask)

    @given(masks)
    def test_lists_are_read(self, mask):
        np.testing.assert_array_equal(rle_to_mask(uncompressed_rle(mask)), mask)

    @pytest.mark.parametrize(
        "rle",
        [
            {},
            {"size": [2, 2]},
            {"size": 3, "counts": [4]},
            {"size": [2, 2], "counts": [3]},
            {"size": [2, 2], "counts": [5, -1]},
            {"size": [2, 2], "counts": "zzzz"},
            {"size": [2, 2], "counts": 7},
            {"size": [-2, -2], "counts": [4]},
            {"size": [10**6, 10**6], "counts": [10**12]},
            {"size": [2, 2], "counts": ["a"]},
        ],
    )
    def test_what_is_none_is_refused(self, rle):
        with pytest.raises(ValueError):  # noqa: PT011
            rle_to_mask(rle)

    def test_a_mask_has_two_axes(self):
        with pytest.raises(ValueError, match=r"expected a mask \(H, W\), got shape \(1, 2, 2\)"):
            mask_to_rle(np.ones((1, 2, 2)))


@pytest.mark.parametrize("text", ["{}", "[]", '{"images": [], "annotations": 3, "categories": []}'])
def test_other_json_is_no_coco_file(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"a\.json: not COCO's format: expected a list under"):
        read_coco(path)


def test_no_file_and_no_json(tmp_path):
    with pytest.raises(ValueError, match="no such annotation file"):
        read_coco(tmp_path / "none.json")
    (tmp_path / "a.json").write_text("[" * 100_000)
    with pytest.raises(ValueError, match=r"a\.json: not readable as JSON"):
        read_coco(tmp_path / "a.json")
