"""The rounds of the simulated annotator against the predictor's answers."""

import dataclasses

import numpy as np
import pytest
import torch
from PIL import Image
from support.made import ListInstances, random_instance

from dextr.common.processes import World
from dextr.evaluation.mask_sources import NetworkMasks
from dextr.evaluation.protocol import EvaluationSettings, simulate_clicks
from dextr.evaluation.refinement import refine, summarize_refinement
from dextr.evaluation.report import draw_curve, refinement_table
from dextr.evaluation.scoring import evaluate
from dextr.geometry import CropWindow
from dextr.inputs import decode, encode
from dextr.metrics import ObjectScore, iou
from dextr.points import next_click, outline
from dextr.predictor import Predictor
from dextr.samples import Instance

COUNT = 6
ALONE = World(0, 1, torch.device("cpu"))


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


class TestSimulatedClicks:
    def test_on_the_crop_the_window_stays_and_the_click_follows_its_centre(self, instances):
        settings = EvaluationSettings()
        for row, instance in enumerate(instances):
            plain = simulate_clicks(row, instance, settings, 10, 64)
            y, x = np.argwhere(outline(instance.mask))[-1]
            more = simulate_clicks(row, instance, settings, 10, 64, [(x, y)])
            assert more.window == plain.window
            np.testing.assert_array_equal(more.in_crop[:4], plain.in_crop)
            expected = np.rint(plain.window.to_crop(np.array([[x, y]])))
            assert np.abs(more.in_crop[4:] - expected).max() <= 0.5
            assert more.in_crop.tolist() == np.floor(more.in_crop).tolist()
            assert more.points[4:].tolist() == [[x, y]]

    @pytest.mark.parametrize("noise", [0, 6])
    def test_in_the_image_the_first_clicks_stay(self, instances, noise):
        settings = EvaluationSettings(points="image", noise=noise)
        moved = 0.0
        for row, instance in enumerate(instances):
            borders = np.argwhere(outline(instance.mask))[:, ::-1]
            extra = borders[[0, -1, len(borders) // 2]]
            prompts = [
                simulate_clicks(row, instance, settings, 10, 64, extra[:k]) for k in range(4)
            ]
            for k, prompt in enumerate(prompts):
                np.testing.assert_array_equal(prompt.points, prompts[3].points[: 4 + k])
            shift = np.abs(prompts[3].points[4:] - extra).max()
            assert shift <= noise
            moved += shift
            if not noise:
                assert {prompt.window for prompt in prompts} == {prompts[0].window}
        assert (moved > 0) == (noise > 0)


def nothing(mask):
    return None


class TestRefine:
    settings = EvaluationSettings(thresholds=(0.5,), points="image", boundary=None)
    predictor = Predictor(from_heatmap, size=64, relax=10, threshold=0.5, batch_size=4)

    def test_in_the_image_it_is_what_a_user_gets(self, instances):
        """The same clicks one after the other through `Predictor.predict`."""
        source = NetworkMasks(self.predictor, instances, self.settings)
        rounds, _ = refine(source, [0, 2, 3], ALONE, 7, nothing)
        assert len(rounds) == 4
        for place, row in enumerate([0, 2, 3]):
            instance = instances[row]
            clicks = simulate_clicks(row, instance, self.settings, 10, 64).points
            for scores in rounds:
                mask = self.predictor.predict(instance.image, clicks).mask
                assert scores[place].row == row
                assert scores[place].iou == iou(mask, instance.mask, instance.void)
                click = next_click(mask, instance.mask, instance.void, clicks)
                clicks = np.vstack([clicks, click])

    def test_on_the_crop(self, instances):
        settings = dataclasses.replace(self.settings, points="crop")
        source = NetworkMasks(self.predictor, instances, settings)
        rounds, _ = refine(source, [1], ALONE, 6, nothing)
        instance = instances[1]
        window = CropWindow.around(instance.mask, instance.hw, 10, 64)
        points = simulate_clicks(1, instance, settings, 10, 64).in_crop
        clicks = window.to_image(points)
        for scores in rounds:
            inputs = torch.from_numpy(encode(instance.image, window, points))[None]
            mask = decode(from_heatmap(inputs).numpy(), window) > 0.5
            assert scores[0].iou == iou(mask, instance.mask, instance.void)
            click = next_click(mask, instance.mask, instance.void, clicks)
            clicks = np.vstack([clicks, click])
            points = np.vstack([points, np.rint(window.to_crop(click[None]))])

    def test_first_round_is_the_plain_evaluation_and_threads_change_nothing(self, instances):
        rows = list(range(COUNT))
        source = NetworkMasks(self.predictor, instances, self.settings)
        rounds, seen = refine(source, rows, ALONE, 6, lambda mask: (mask.row, len(mask.points)))
        assert rounds[0] == evaluate(self.predictor, instances, self.settings, progress=False)
        assert seen == [(row, 4) for row in rows]
        assert rounds[1] != rounds[0]
        threads = NetworkMasks(self.predictor, instances, self.settings, workers=3)
        assert refine(threads, rows, ALONE, 6, nothing)[0] == rounds

    def test_a_perfect_mask_stays(self):
        truth = np.zeros((40, 60), bool)
        truth[10:30, 10:50] = True
        sure = Predictor(lambda batch: torch.full_like(batch[:, :1], 9.0), size=64, relax=10)
        data = ListInstances([instance_of(truth)])
        rounds, _ = refine(NetworkMasks(sure, data, self.settings), [0], ALONE, 6, nothing)
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
