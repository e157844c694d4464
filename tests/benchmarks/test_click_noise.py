import numpy as np
import pytest

from benchmarks import click_noise
from dataloaders.shapes import ShapesInstances
from dextr.geometry import Box


@pytest.mark.parametrize(
    ("box", "kept"), [((-3, -3, 9, 9), 20), ((1, 1, 3, 2), 2), ((4, 3, 9, 9), 1)]
)
def test_only_what_is_inside_the_box_is_pasted(box, kept):
    mask = np.ones((4, 5), bool)
    pasted = click_noise.paste_inside(mask, Box(*box))
    assert np.count_nonzero(pasted) == kept
    assert set(np.unique(pasted)) <= {0, 1}


def test_right_clicks_and_wide_margins_lose_nothing():
    shapes = ShapesInstances(6, 0)
    assert [s.mean_iou for s in click_noise.truth_pasted(shapes, 0, (0, 3))] == [1, 1]
    narrow, wide = click_noise.truth_pasted(shapes, 5, (0, 5))
    assert 0.7 < narrow.mean_iou < 1
    assert wide.mean_iou == 1


def test_the_table(capsys):
    assert click_noise.main(["--noise", "0"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "off by up to 0 pixels" in lines[0]
    assert "| all | 200 | 100.00 | 100.00 | 100.00 | 100.00 |" in lines
