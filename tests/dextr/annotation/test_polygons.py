"""Masks as polygons."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from support.made import random_mask

from dextr.annotation.polygons import mask_to_polygons, polygon_iou, polygons_to_mask

masks = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14))
RING = np.ones((5, 5), bool)
RING[2, 2] = False
NESTED = np.zeros((9, 9), bool)
NESTED[0], NESTED[-1], NESTED[:, 0], NESTED[:, -1], NESTED[3:6, 3:6] = True, True, True, True, True
NESTED[4, 4] = False
BOARD = (np.indices((7, 8)).sum(axis=0) % 2).astype(bool)


class TestPolygons:
    @given(masks)
    @example(np.zeros((3, 2), bool))
    @example(RING)
    @example(NESTED)
    @example(BOARD)
    @example(~BOARD)
    def test_come_back_exactly(self, mask):
        polygons = mask_to_polygons(mask)
        np.testing.assert_array_equal(polygons_to_mask(polygons, mask.shape), mask)
        assert polygon_iou(mask, polygons) == 1

    @given(masks)
    def test_enclose_the_mask_s_area(self, mask):
        """The shoelace formula, which knows nothing of pixels; holes count against it."""
        total = 0.0
        for polygon in mask_to_polygons(mask):
            x, y = np.reshape(polygon, (-1, 2)).T
            total += abs(x @ np.roll(y, 1) - y @ np.roll(x, 1)) / 2
        assert total == mask.sum()

    def test_one_for_each_part(self):
        mask = np.zeros((10, 12), bool)
        mask[1:3, 1:3] = mask[5:9, 4:12] = True
        assert sorted(mask_to_polygons(mask)) == [
            [1, 1, 1, 3, 3, 3, 3, 1],
            [4, 5, 4, 9, 12, 9, 12, 5],
        ]

    def test_a_hole_is_cut_open(self):
        (polygon,) = mask_to_polygons(RING)
        points = np.reshape(polygon, (-1, 2)).tolist()
        assert len(points) == 4 + 4 + 2
        assert {tuple(p) for p in points} == {
            (x, y) for s in ((0, 5), (2, 3)) for x in s for y in s
        }

    @given(st.integers(0, 10**6), st.floats(0.3, 5))
    def test_simplifying_moves_outlines_by_the_tolerance_at_most(self, seed, simplify):
        mask = random_mask(np.random.default_rng(seed), (60, 80), 50)
        exact, fewer = mask_to_polygons(mask), mask_to_polygons(mask, simplify)
        for many, few in zip(exact, fewer, strict=True):
            assert len(few) <= len(many)
            corners = np.reshape(few, (-1, 2))
            for point in np.reshape(many, (-1, 2)):
                ends = np.stack([corners, np.roll(corners, -1, 0)])
                assert _distance(point, *ends).min() <= simplify + 1e-9

    def test_of_a_disc_keep_it_with_a_fraction_of_the_points(self):
        y, x = np.mgrid[:200, :200]
        disc = np.hypot(x - 99.5, y - 99.5) < 80
        exact, fewer = mask_to_polygons(disc), mask_to_polygons(disc, 1.0)
        assert len(fewer[0]) * 5 < len(exact[0])
        assert 0.97 < polygon_iou(disc, fewer) < 1

    def test_no_part_vanishes(self):
        mask = np.zeros((20, 20), bool)
        mask[3, 3] = mask[10, 2:18] = True
        assert polygon_iou(mask, mask_to_polygons(mask, 50)) == 1

    @pytest.mark.parametrize("simplify", [-1, float("nan"), float("inf")])
    def test_tolerance_is_checked(self, simplify):
        with pytest.raises(ValueError, match="expected pixels to simplify by, 0 or more"):
            mask_to_polygons(RING, simplify)

    @pytest.mark.parametrize(
        ("polygons", "message"),
        [
            ([[0, 0, 3, 3]], "at least three points"),
            ([[0, 0, 3, 3, 1, 2, 4]], "flat lists"),
            ([[0, 0, 3, 3, 1, float("nan")]], "finite numbers"),
        ],
    )
    def test_what_is_none_is_refused(self, polygons, message):
        with pytest.raises(ValueError, match=message):
            polygons_to_mask(polygons, (5, 5))

    def test_no_polygon_is_an_empty_mask(self):
        assert polygons_to_mask([], (4, 5)).shape == (4, 5)


def _distance(point, start, end):
    """Distance (N,) of a point from line segments."""
    along = end - start
    share = ((point - start) * along).sum(1) / np.maximum((along**2).sum(1), 1e-12)
    return np.hypot(*(point - start - np.clip(share, 0, 1)[:, None] * along).T)
