"""The simulated annotator against a slow one, and its rounds against the predictor's answers."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from support.made import ListInstances, random_instance, random_mask

from dextr.common.processes import World
from dextr.evaluation.judges import Judge
from dextr.evaluation.protocol import EvaluationSettings, prompt_for
from dextr.evaluation.refinement import next_click, outline, refine, summarize_refinement
from dextr.evaluation.report import draw_curve, refinement_table
from dextr.evaluation.scoring import evaluate, segment
from dextr.geometry import CropWindow
from dextr.inputs import decode, encode
from dextr.metrics import ObjectScore, iou
from dextr.predictor import Predictor
from dextr.samples import Instance

COUNT = 6
ALONE = World(0, 1, torch.device("cpu"))
NONE = np.empty((0, 2))


def instance_of(mask, void=None):
    mask = np.asarray(mask, bool)
    void = np.zeros_like(mask) if void is None else np.asarray(void, bool)
    return Instance(np.zeros((*mask.shape, 3), np.uint8), mask, void, "a", 1)


def from_heatmap(batch):
    return (batch[:, 3:] - batch[:, :3].mean(dim=1, keepdim=True)) / 50


@pytest.fixture(scope="module")
def instances():
    rng = np.random.default_rng(0)
    return ListInstances([random_instance(rng, number=k) for k in range(COUNT)])


def slow_outline(mask):
    height, width = mask.shape

    def inside(y, x):
        return 0 <= y < height and 0 <= x < width and mask[y, x]

    return [
        (y, x)
        for y, x in np.argwhere(mask).tolist()
        if not all(inside(y + dy, x + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1))
    ]


def slow_click(mask, instance, clicks):
    """Try every pixel; distances as whole numbers, squared."""
    kinds = np.zeros(mask.shape, int)
    kinds[instance.mask & ~mask] = 1
    kinds[mask & ~instance.mask & ~instance.void] = 2
    ring = np.pad(kinds, 1, constant_values=-1)
    best, deepest = 0, None
    for y, x in np.argwhere(kinds).tolist():
        other = np.argwhere(ring != kinds[y, x]) - 1
        depth = int(((other - (y, x)) ** 2).sum(axis=1).min())
        if depth > best:
            best, deepest = depth, (y, x)
    free = [(y, x) for y, x in slow_outline(instance.mask) if [x, y] not in clicks.tolist()]
    if deepest is None or not free:
        return None
    y, x = min(free, key=lambda p: (p[0] - deepest[0]) ** 2 + (p[1] - deepest[1]) ** 2)
    return [x, y]


@given(st.integers(0, 10**6), st.integers(0, 6))
def test_next_click_is_the_slow_ones(seed, count):
    rng = np.random.default_rng(seed)
    hw = (int(rng.integers(1, 14)), int(rng.integers(1, 14)))
    truth, mask, void = (random_mask(rng, hw, int(rng.integers(1, 14))) for _ in range(3))
    if rng.random() < 0.3:
        truth, mask = (np.kron(rng.random((4, 4)) < 0.5, np.ones((3, 3))) > 0 for _ in range(2))
        void = np.zeros_like(truth)
    instance = instance_of(truth, void & ~truth)
    border = slow_outline(truth)
    clicks = np.array([border[k][::-1] for k in rng.permutation(len(border))[:count]], float)
    found = next_click(mask, instance.mask, instance.void, clicks.reshape(-1, 2))
    assert (None if found is None else found.tolist()) == slow_click(mask, instance, clicks)


@given(st.integers(0, 10**6))
def test_outline(seed):
    mask = random_mask(np.random.default_rng(seed), (12, 15), 14)
    assert [tuple(p) for p in np.argwhere(outline(mask)).tolist()] == slow_outline(mask)


class TestNextClick:
    truth = np.zeros((40, 60), bool)
    truth[10:30, 10:50] = True
    nowhere = np.zeros_like(truth)

    def test_nothing_is_wrong(self):
        assert next_click(self.truth, self.truth, self.nowhere, NONE) is None

    def test_an_error_in_void_is_none(self):
        void = np.zeros_like(self.truth)
        void[:10] = True
        assert next_click(self.truth | void, self.truth, void, NONE) is None

    def test_a_deep_hole_beats_a_long_thin_band(self):
        found = self.truth.copy()
        found[8:10, :] = True  # 120 pixels, 2 deep
        found[22:29, 30:37] = False  # 49 pixels, 7 wide, one off the lower edge
        assert next_click(found, self.truth, self.nowhere, NONE).tolist() == [33, 29]

    def test_missing_and_superfluous_pixels_that_touch_are_two_errors(self):
        found = self.truth.copy()
        found[10:13, 20:26] = False
        found[7:10, 20:26] = True  # together 6 x 6, which would come first
        found[24:29, 40:45] = False
        assert next_click(found, self.truth, self.nowhere, NONE).tolist() == [42, 29]

    def test_clicked_pixels_are_passed_over_until_none_is_left(self):
        truth = np.zeros((5, 5), bool)
        truth[1:4, 1:4] = True
        nothing = np.zeros_like(truth)
        clicks = NONE
        for _ in range(8):
            clicks = np.vstack([clicks, next_click(nothing, truth, nothing, clicks)])
        assert len(np.unique(clicks, axis=0)) == 8
        assert next_click(nothing, truth, nothing, clicks) is None

    def test_a_click_off_a_pixels_centre_counts_for_the_pixel(self):
        truth = np.array([[1, 1]], bool)
        click = next_click(~truth, truth, ~truth, np.array([[0.4, -0.3], [-7, 90]]))
        assert click.tolist() == [1, 0]


class TestPrompt:
    def test_on_the_crop_the_window_stays_and_the_click_follows_its_centre(self, instances):
        settings = EvaluationSettings()
        for row, instance in enumerate(instances):
            plain = prompt_for(row, instance, settings, 10, 64)
            y, x = slow_outline(instance.mask)[-1]
            more = prompt_for(row, instance, settings, 10, 64, [(x, y)])
            assert more.window == plain.window
            np.testing.assert_array_equal(more.points[:4], plain.points)
            expected = np.rint(plain.window.to_crop(np.array([[x, y]])))
            assert np.abs(more.points[4:] - expected).max() <= 0.5
            assert more.points.tolist() == np.floor(more.points).tolist()
            assert more.clicks[4:].tolist() == [[x, y]]

    @pytest.mark.parametrize("noise", [0, 6])
    def test_in_the_image_the_first_clicks_stay(self, instances, noise):
        settings = EvaluationSettings(points="image", noise=noise)
        moved = 0.0
        for row, instance in enumerate(instances):
            borders = np.array(slow_outline(instance.mask))[:, ::-1]
            extra = borders[[0, -1, len(borders) // 2]]
            prompts = [prompt_for(row, instance, settings, 10, 64, extra[:k]) for k in range(4)]
            for k, prompt in enumerate(prompts):
                np.testing.assert_array_equal(prompt.clicks, prompts[3].clicks[: 4 + k])
            shift = np.abs(prompts[3].clicks[4:] - extra).max()
            assert shift <= noise
            moved += shift
            if not noise:
                assert {prompt.window for prompt in prompts} == {prompts[0].window}
        assert (moved > 0) == (noise > 0)


def judge_of(predictor, instances, settings, workers=0):
    def outcomes(rows, extra, take):
        return segment(predictor, instances, settings, rows, workers, extra, take)

    return Judge(outcomes, {}, "")


class TestRefine:
    settings = EvaluationSettings(thresholds=(0.5,), points="image", boundary=None)
    predictor = Predictor(from_heatmap, size=64, relax=10, threshold=0.5, batch_size=4)

    def test_in_the_image_it_is_what_a_user_gets(self, instances):
        """The same clicks one after the other through `Predictor.predict`."""
        rounds = refine(judge_of(self.predictor, instances, self.settings), [0, 2, 3], ALONE, 7)
        assert len(rounds) == 4
        for place, row in enumerate([0, 2, 3]):
            instance = instances[row]
            clicks = prompt_for(row, instance, self.settings, 10, 64).clicks
            for scores in rounds:
                mask = self.predictor.predict(instance.image, clicks).mask
                assert scores[place].row == row
                assert scores[place].iou == iou(mask, instance.mask, instance.void)
                click = next_click(mask, instance.mask, instance.void, clicks)
                clicks = np.vstack([clicks, click])

    def test_on_the_crop(self, instances):
        settings = dataclasses.replace(self.settings, points="crop")
        rounds = refine(judge_of(self.predictor, instances, settings), [1], ALONE, 6)
        instance = instances[1]
        window = CropWindow.around(instance.mask, instance.hw, 10, 64)
        points = prompt_for(1, instance, settings, 10, 64).points
        clicks = window.to_image(points)
        for scores in rounds:
            inputs = torch.from_numpy(encode(instance.image, window, points))[None]
            mask = decode(from_heatmap(inputs).numpy(), window) > 0.5
            assert scores[0].iou == iou(mask, instance.mask, instance.void)
            click = next_click(mask, instance.mask, instance.void, clicks)
            clicks = np.vstack([clicks, click])
            points = np.vstack([points, np.rint(window.to_crop(click[None]))])

    def test_first_round_is_the_plain_evaluation_and_threads_change_nothing(self, instances):
        seen = []
        rows = list(range(COUNT))
        judge = judge_of(self.predictor, instances, self.settings)
        rounds = refine(judge, rows, ALONE, 6, seen.append)
        assert rounds[0] == evaluate(self.predictor, instances, self.settings, progress=False)
        assert [(o.row, len(o.points)) for o in seen] == [(row, 4) for row in rows]
        assert rounds[1] != rounds[0]
        threads = judge_of(self.predictor, instances, self.settings, workers=3)
        assert refine(threads, rows, ALONE, 6) == rounds

    def test_a_perfect_mask_stays(self):
        truth = np.zeros((40, 60), bool)
        truth[10:30, 10:50] = True
        sure = Predictor(lambda batch: torch.full_like(batch[:, :1], 9.0), size=64, relax=10)
        data = ListInstances([instance_of(truth)])
        rounds = refine(judge_of(sure, data, self.settings), [0], ALONE, 6)
        assert [scores[0].iou for scores in rounds] == [1, 1, 1]


def rounds_of(*ious):
    """Scores for objects' IoUs in percent, one tuple per object, one number per round."""
    return [
        [
            ObjectScore(k, f"o{k}", -1, 1, 1, (0.8,), (value,), (100,), (0,))
            for k, value in enumerate(column)
        ]
        for column in zip(*ious, strict=True)
    ]


class TestSummary:
    rounds = rounds_of((60, 70, 84), (79, 85, 80), (80, 79, 90), (95, 95, 95))

    def test_numbers(self):
        found = summarize_refinement(self.rounds)
        assert found.points == (4, 5, 6)
        assert found.every.mean_iou == pytest.approx((0.785, 0.8225, 0.8725))
        assert (found.every.count, found.weak.count, found.rest.count) == (4, 2, 2)
        assert found.weak.first_gain == pytest.approx(0.08)
        assert found.rest.first_gain == pytest.approx(-0.005)
        assert found.reach[0.85].mean_points == (6 + 5 + 6 + 4) / 4
        assert found.reach[0.85].never == 1
        assert found.reach[0.9].mean_points == (6 + 6 + 6 + 4) / 4
        assert found.reach[0.9].never == 2
        assert found.ious[1] == (0.79, 0.85, 0.8)

    def test_no_object_starts_low(self):
        found = summarize_refinement(rounds_of((90, 91)))
        assert dataclasses.astuple(found.weak) == (0, (), None)

    def test_table(self):
        assert refinement_table(summarize_refinement(self.rounds)).splitlines() == [
            "mean IoU after      all (4)  start below 80 (2)  start at 80 or more (2)",
            "4 points              78.50               69.50                    87.50",
            "5 points              82.25               77.50                    87.00",
            "6 points              87.25               82.00                    92.50",
            "first point brings    +3.75               +8.00                    -0.50",
            "",
            "to reach IoU  points",
            "85              5.25  1 never did, counted as 6",
            "90              5.50  2 never did, counted as 6",
        ]
        lines = refinement_table(summarize_refinement(rounds_of((90, 91)))).splitlines()
        assert [line.split()[-2] for line in lines[1:4]] == ["-", "-", "-"]

    @pytest.mark.parametrize("rounds", [rounds, rounds_of((90, 91))], ids=["all", "no weak"])
    def test_picture(self, tmp_path, rounds):
        for name in ("one.png", "two.png"):
            draw_curve(tmp_path / "new" / name, summarize_refinement(rounds), "a title")
        with Image.open(tmp_path / "new" / "one.png") as picture:
            assert len(np.unique(np.asarray(picture))) > 10
        one, two = ((tmp_path / "new" / name).read_bytes() for name in ("one.png", "two.png"))
        assert one == two
