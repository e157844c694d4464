"""The page of worst and best cases."""

import html.parser

import numpy as np
import pytest
from PIL import Image
from support.made import ListInstances, random_instance

from dataloaders.shapes import ShapesInstances
from dextr.common.processes import World
from dextr.evaluation.cases import contact_sheet, draw_case, score_and_picture, write_page
from dextr.evaluation.mask_sources import NetworkMasks, scored
from dextr.evaluation.protocol import EvaluationSettings
from dextr.evaluation.scoring import evaluate
from dextr.predictor import Predictor
from dextr.weights.load import load_network

SETTINGS = EvaluationSettings(thresholds=(0.5,))
COUNT = 7


@pytest.fixture(scope="module")
def instances():
    rng = np.random.default_rng(0)
    made = [random_instance(rng, number=k) for k in range(COUNT)]
    return ListInstances(made, ("<cat> & dog", "b", "c"))


class Source:
    """Row k gets all but k rows of its mask, so row 0 is the best."""

    def __init__(self, instances):
        self.instances = instances

    def masks(self, rows, take, further):
        for row in rows:
            instance = self.instances[row]
            prob = instance.mask.astype(np.float32)
            prob[np.flatnonzero(prob.any(axis=1))[: 2 * row]] = 0
            yield take(scored(row, instance, prob, np.array([[3.0, 4.0]]), SETTINGS))

    def scores(self, rows):
        return list(self.masks(rows, lambda mask: mask.score, {}))


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
    source = Source(instances)
    scores = source.scores(range(COUNT))
    path = write_page(
        tmp_path / "page", "a <title>", "table & 1", scores, source, instances.category_names, 2
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
    source = Source(instances)
    scores = source.scores([0])
    write_page(tmp_path, "title", "", scores, source, cases=5)
    assert sorted(p.name for p in (tmp_path / "images").iterdir()) == [
        "best_01.png",
        "worst_01.png",
    ]


@pytest.mark.parametrize("row", range(COUNT))
def test_a_case_is_enlarged(instances, row):
    picture = next(Source(instances).masks([row], draw_case, {}))
    assert picture.dtype == np.uint8
    assert 240 < max(picture.shape[:2]) <= 480


NO_POINTS, A_POINT = np.zeros((0, 2)), np.array([[40.0, 30.0]])


def test_prediction_and_points_are_drawn(instances):
    mask = instances[0].mask
    pictures = [
        draw_case(scored(0, instances[0], prob, points, SETTINGS))
        for prob, points in ((mask * 0, NO_POINTS), (mask, NO_POINTS), (mask, A_POINT))
    ]
    empty, filled, dotted = (picture.astype(int) for picture in pictures)
    assert (empty != filled).any()
    assert (filled != dotted).any()


def test_contact_sheet_needs_tiles():
    with pytest.raises(ValueError, match="0 tiles"):
        contact_sheet([])
    with pytest.raises(ValueError, match="0 columns"):
        contact_sheet([(np.zeros((2, 2, 3), np.uint8), "")], columns=0)


@pytest.mark.parametrize(("count", "grid"), [(1, (1, 1)), (3, (1, 3)), (4, (2, 3)), (7, (3, 3))])
def test_contact_sheet_has_each_tile_in_its_place(count, grid):
    colors = [(40 * k + 10, 250 - 30 * k, 77) for k in range(count)]
    sizes = [(200, 10), (10, 200), (1, 1), (60, 80)]
    pictures = [np.full((*sizes[k % 4], 3), colors[k], np.uint8) for k in range(count)]
    tiles = [(picture, "") for picture in pictures]
    sheet = contact_sheet(tiles, columns=3, tile_hw=(60, 80))
    height, width = sheet.shape[0] // grid[0], sheet.shape[1] // grid[1]
    assert height >= 60
    assert width >= 80
    for k, color in enumerate(colors):
        cell = sheet[k // 3 * height :, k % 3 * width :][:height, :width]
        assert (cell == color).all(axis=2).any()
        other = [c for c in colors if c != color]
        assert not any((cell == c).all(axis=2).any() for c in other)


def test_captions_stay_within_their_tile():
    tiles = [(np.zeros((60, 80, 3), np.uint8), "a very long caption \u00e9\n" * 9), (tile(), "")]
    sheet = contact_sheet(tiles, columns=2, tile_hw=(60, 80))
    right, below = sheet[:, sheet.shape[1] // 2 + 3 :], sheet[70:, : sheet.shape[1] // 2]
    assert (right[70:] == 255).all()
    assert (below < 100).any()


def tile():
    return np.full((60, 80, 3), 9, np.uint8)


def test_validation_scores_as_evaluation_does_and_draws_the_first():
    shapes = ShapesInstances(9)
    predictor = Predictor(load_network("untrained").network, size=32, batch_size=8)
    sheets = []
    for workers in (0, 2):
        source = NetworkMasks(predictor, shapes, EvaluationSettings(), workers)
        scores, sheet = score_and_picture(source, range(9), World(0, 1, predictor.device))
        assert scores == evaluate(predictor, shapes, EvaluationSettings(), progress=False)
        sheets.append(sheet)
    assert sheets[0].dtype == np.uint8
    np.testing.assert_array_equal(sheets[0], sheets[1])


@pytest.mark.parametrize("hw", [(1, 5000), (5000, 1), (1, 1)])
def test_contact_sheet_takes_pictures_of_any_shape(hw):
    sheet = contact_sheet([(np.zeros((*hw, 3), np.uint8), "")], tile_hw=(60, 80))
    assert (sheet == 0).all(axis=2).any()
