"""The page of worst and best cases."""

import html.parser

import numpy as np
import pytest
from PIL import Image
from support.made import ListInstances, random_instance

from dextr.evaluation.cases import draw_case, write_page
from dextr.evaluation.protocol import EvaluationSettings
from dextr.evaluation.scoring import outcome_of

SETTINGS = EvaluationSettings(thresholds=(0.5,))
COUNT = 7


@pytest.fixture(scope="module")
def instances():
    rng = np.random.default_rng(0)
    made = [random_instance(rng, number=k) for k in range(COUNT)]
    return ListInstances(made, ("<cat> & dog", "b", "c"))


def outcomes_of(instances):
    """Row k gets all but k rows of its mask, so row 0 is the best."""

    def outcome(row):
        prob = instances[row].mask.astype(np.float32)
        prob[np.flatnonzero(prob.any(axis=1))[: 2 * row]] = 0
        return outcome_of(row, instances[row], prob, np.array([[3.0, 4.0]]), SETTINGS)

    return lambda rows: map(outcome, rows)


class Page(html.parser.HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.files, self.text = [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.files += [value for name, value in attributes if name in ("src", "href")]

    def handle_data(self, data):
        self.text.append(data)


def test_page(tmp_path, instances):
    outcomes = outcomes_of(instances)
    scores = [o.score for o in outcomes(range(COUNT))]
    path = write_page(
        tmp_path / "page", "a <title>", "table & 1", scores, outcomes, instances.category_names, 2
    )
    assert path == tmp_path / "page" / "index.html"
    page = Page(path.read_text(encoding="utf-8"))
    assert "a <title>" in page.text
    assert "table & 1" in page.text
    for file in page.files:
        with Image.open(path.parent / file) as picture:
            assert min(picture.size) > 50
    assert len({f for f in page.files if f.startswith("images/")}) == 4
    ranked = sorted(scores, key=lambda s: s.iou)
    captions = [t for t in page.text if t.endswith(" px")]
    for caption, score in zip(captions, [*ranked[:2], ranked[-1], ranked[-2]], strict=True):
        assert caption.startswith(f"IoU {100 * score.iou:.1f} {score.name} ")
    assert any("<cat> & dog" in caption for caption in captions)


def test_fewer_objects_than_cases(tmp_path, instances):
    outcomes = outcomes_of(instances)
    scores = [o.score for o in outcomes([0])]
    write_page(tmp_path, "title", "", scores, outcomes, cases=5)
    assert sorted(p.name for p in (tmp_path / "images").iterdir()) == [
        "best_01.png",
        "worst_01.png",
    ]


@pytest.mark.parametrize("row", range(COUNT))
def test_a_case_is_enlarged(instances, row):
    picture = draw_case(next(iter(outcomes_of(instances)([row]))))
    assert picture.dtype == np.uint8
    assert 240 < max(picture.shape[:2]) <= 480


NO_POINTS, A_POINT = np.zeros((0, 2)), np.array([[40.0, 30.0]])


def test_prediction_and_points_are_drawn(instances):
    mask = instances[0].mask
    pictures = [
        draw_case(outcome_of(0, instances[0], prob, points, SETTINGS))
        for prob, points in ((mask * 0, NO_POINTS), (mask, NO_POINTS), (mask, A_POINT))
    ]
    empty, filled, dotted = (picture.astype(int) for picture in pictures)
    assert (empty != filled).any()
    assert (filled != dotted).any()
