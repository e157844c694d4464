"""Synthetic objects: seeded, consistent, and worth learning from."""

import numpy as np
import pytest

from dataloaders.shapes import ShapesInstances


def test_as_many_objects_as_asked_for():
    for count in (1, 2, 7):
        assert len(ShapesInstances(count)) == count


def test_none_is_an_error():
    with pytest.raises(ValueError, match="at least 1"):
        ShapesInstances(0)


def test_the_same_seed_gives_the_same_objects():
    first, second, other = (
        ShapesInstances(4, 1)[3],
        ShapesInstances(4, 1)[3],
        ShapesInstances(4, 2)[3],
    )
    assert np.array_equal(first.image, second.image)
    assert np.array_equal(first.mask, second.mask)
    assert not np.array_equal(first.image, other.image)


def test_the_index_agrees_with_the_masks():
    shapes = ShapesInstances(9, seed=4)
    assert [int(i.mask.sum()) for i in shapes] == shapes.index.area.tolist()
    assert [i.name for i in shapes] == [shapes.object_name(row) for row in range(9)]


def test_objects_of_one_image_do_not_overlap():
    shapes = ShapesInstances(9, seed=4)
    by_image = {}
    for instance in shapes:
        by_image.setdefault(instance.image_id, []).append(instance.mask)
    assert max(len(masks) for masks in by_image.values()) > 1
    assert all(np.sum(masks, axis=0).max() == 1 for masks in by_image.values())
