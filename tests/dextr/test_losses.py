"""The loss, against reference vectors and a loop over pixels."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from support.golden import cases

from dextr.losses import class_balanced_bce, class_counts, soft_iou_loss

CASES = cases("loss")


def tensors(case):
    return (torch.from_numpy(case[name]) for name in ("logits", "labels", "void"))


@pytest.mark.parametrize("case", CASES)
class TestReferenceVectors:
    def test_loss_and_gradient(self, case):
        logits, labels, _ = tensors(case)
        logits.requires_grad_()
        loss = class_balanced_bce(logits, labels)
        loss.backward()
        assert loss.item() == pytest.approx(float(case["loss_sum_over_batch"]), rel=1e-10)
        torch.testing.assert_close(
            logits.grad, torch.from_numpy(case["grad"]), rtol=1e-10, atol=1e-16
        )

    def test_mean(self, case):
        logits, labels, _ = tensors(case)
        loss = class_balanced_bce(logits, labels, reduction="mean").item()
        assert loss == pytest.approx(float(case["loss_size_average"]), rel=1e-10)

    def test_void_as_released(self, case):
        logits, labels, void = tensors(case)
        loss = class_balanced_bce(logits, labels, void, void_counting="released").item()
        assert loss == pytest.approx(float(case["loss_void"]), rel=1e-10)


def slow_loss(logits, labels, void):
    """Void left out of everything; the weights of the classes add up to 1."""
    pixels = list(zip(logits.tolist(), labels.tolist(), void.tolist(), strict=True))
    pixels = [(z, y) for z, y, v in pixels if not v]
    positive = [math.log1p(math.exp(-z)) for z, y in pixels if y >= 0.5]
    negative = [math.log1p(math.exp(z)) for z, y in pixels if y < 0.5]
    total = max(len(pixels), 1)
    weights = len(negative) / total, len(positive) / total
    return weights[0] * math.fsum(positive) + weights[1] * math.fsum(negative)


def random_batch(seed, shape=(2, 1, 3, 4)):
    generator = torch.Generator().manual_seed(seed)
    logits = 5 * torch.randn(shape, generator=generator, dtype=torch.float64)
    labels = torch.rand(shape, generator=generator, dtype=torch.float64)
    void = torch.rand(shape, generator=generator, dtype=torch.float64) < 0.3
    return logits, labels, void.double()


@given(st.integers(0, 2**31))
def test_is_what_a_loop_over_pixels_gives(seed):
    logits, labels, void = random_batch(seed)
    expected = slow_loss(logits.flatten(), labels.flatten(), void.flatten()) / 2
    # The classes' weights are float32 in float64 too: so they are in the reference vectors.
    assert class_balanced_bce(logits, labels, void).item() == pytest.approx(expected, rel=2e-7)


@given(st.integers(0, 2**31))
def test_void_pixels_do_not_matter(seed):
    logits, labels, void = random_batch(seed)
    loss = class_balanced_bce(logits, labels, void)
    changed = torch.where(void > 0, -3 * logits, logits), torch.where(void > 0, 1 - labels, labels)
    assert class_balanced_bce(*changed, void).item() == loss.item()
    nothing = torch.zeros_like(void)
    assert class_balanced_bce(logits, labels, nothing) == class_balanced_bce(logits, labels)


@given(st.integers(0, 2**31))
def test_parts_with_the_counts_of_the_whole_add_up(seed):
    logits, labels, void = random_batch(seed, (3, 1, 4, 4))
    counts = class_counts(labels, void)
    parts = [
        class_balanced_bce(logits[k], labels[k], void[k], counts=counts, batch_size=3)
        for k in (slice(0, 1), slice(1, 3))
    ]
    assert sum(parts).item() == pytest.approx(class_balanced_bce(logits, labels, void).item())


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_one_class_alone_costs_nothing(value):
    logits = torch.randn(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    loss = class_balanced_bce(logits, torch.full_like(logits, value))
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


def test_void_everywhere_costs_nothing():
    logits = torch.randn(1, 1, 4, 4)
    loss = class_balanced_bce(logits, torch.ones_like(logits), torch.ones_like(logits))
    assert loss.item() == 0


def test_huge_logits_stay_finite():
    logits = torch.tensor([[[[1e4, -1e4]]]])
    loss = class_balanced_bce(logits, torch.tensor([[[[0.0, 1.0]]]]))
    assert loss.item() == 1e4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"labels": torch.zeros(1, 1, 4, 5)}, "shape"),
        ({"void": torch.zeros(1, 4, 4)}, "shape"),
        ({"void_counting": "none"}, "excluded.*released.*none"),
        ({"reduction": "sum"}, "batch.*mean.*sum"),
    ],
)
def test_errors(options, message):
    logits = torch.zeros(1, 1, 4, 4)
    with pytest.raises(ValueError, match=message):
        class_balanced_bce(**({"logits": logits, "labels": logits} | options))


@pytest.mark.parametrize("seed", range(4))
def test_soft_iou_is_a_loop_over_objects_and_pixels(seed):
    torch.manual_seed(seed)
    logits, labels = torch.randn(3, 1, 4, 5), (torch.rand(3, 1, 4, 5) > 0.6).float()
    void = (torch.rand(3, 1, 4, 5) > 0.8).float()
    losses = []
    for n in range(3):
        common, either = 1.0, 1.0
        for row in range(4):
            for column in range(5):
                if void[n, 0, row, column]:
                    continue
                p = 1 / (1 + math.exp(-logits[n, 0, row, column]))
                t = labels[n, 0, row, column].item()
                common, either = common + p * t, either + p + t - p * t
        losses.append(1 - common / either)
    assert soft_iou_loss(logits, labels, void).item() == pytest.approx(sum(losses) / 3, rel=1e-5)


def test_soft_iou_of_a_perfect_and_of_an_empty_object():
    labels = torch.zeros(1, 1, 8, 8)
    assert soft_iou_loss(torch.full_like(labels, -99), labels).item() == 0
    labels[..., :4] = 1
    assert soft_iou_loss(99 * (2 * labels - 1), labels).item() == pytest.approx(0, abs=1e-6)
    assert soft_iou_loss(-99 * (2 * labels - 1), labels).item() == pytest.approx(64 / 65)


@pytest.mark.parametrize("reduction", ["batch", "mean"])
def test_no_objects_cost_nothing(reduction):
    logits = torch.zeros(0, 1, 3, 4, requires_grad=True)
    labels = torch.zeros(0, 1, 3, 4)
    for void in (None, labels):
        loss = class_balanced_bce(logits, labels, void, reduction=reduction)
        loss = loss + soft_iou_loss(logits, labels, void)
        assert loss.item() == 0
        loss.backward()
        assert logits.grad.shape == logits.shape
