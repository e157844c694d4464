"""The class-balanced loss (paper section 3.2)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from dextr.common.errors import UserError


def class_counts(labels: Tensor, void: Tensor | None = None) -> Tensor:
    """Return the numbers of positive and negative pixels that are not void, as a pair."""
    positive = labels >= 0.5
    valid = torch.ones_like(positive) if void is None else void < 0.5
    n_positive = (positive & valid).sum()
    return torch.stack([n_positive, valid.sum() - n_positive])


def class_balanced_bce(
    logits: Tensor,
    labels: Tensor,
    void: Tensor | None = None,
    *,
    void_counting: str = "excluded",
    reduction: str = "batch",
    counts: Tensor | None = None,
    batch_size: int | None = None,
) -> Tensor:
    """Return the binary cross entropy with each class weighted by the other one's share.

    With N+ and N- pixels of either class in the whole batch and N their sum, the loss is
    N-/N times the sum over positives plus N+/N times the sum over negatives.

    Args:
        logits: (N, 1, H, W).
        labels: The same shape; 0.5 and above is the object.
        void: The same shape, non-zero where no pixel counts; None: everywhere counts.
        void_counting: `excluded` leaves void out of everything; `released` counts void pixels
            in N+ and N- but not in N, as the released code did.
        reduction: `batch` divides by the batch size (published), `mean` by every pixel.
        counts: N+ and N- to use instead of this batch's own: with several processes, their sums.
        batch_size: Objects to divide by instead of this batch's own, likewise.

    Returns:
        A scalar; 0 for a batch of no objects.

    Raises:
        ValueError: Shapes differ, or an option has an unknown name.
    """
    if labels.shape != logits.shape or (void is not None and void.shape != logits.shape):
        raise UserError(
            f"expected labels and void of the logits' shape {tuple(logits.shape)}, got "
            f"{tuple(labels.shape)} and {None if void is None else tuple(void.shape)}"
        )
    if void_counting not in ("excluded", "released") or reduction not in ("batch", "mean"):
        raise UserError(
            "void_counting must be 'excluded' or 'released', reduction 'batch' or 'mean', got "
            f"{void_counting!r} and {reduction!r}"
        )
    valid = class_counts(labels, void) if counts is None else counts
    counted = class_counts(labels) if void_counting == "released" else valid
    n_positive, n_negative = (counted / valid.sum().clamp(min=1)).to(logits.dtype)

    positive = labels >= 0.5
    weight = torch.where(positive, n_negative, n_positive)
    if void is not None:
        weight = weight * (void < 0.5)
    target = positive.to(logits.dtype)
    total = F.binary_cross_entropy_with_logits(logits, target, weight, reduction="sum")
    # Of no objects there is nothing to lose: 0, not 0 / 0.
    total = total / (batch_size or max(logits.shape[0], 1))
    return total / logits.shape[1:].numel() if reduction == "mean" else total


def soft_iou_loss(logits: Tensor, labels: Tensor, void: Tensor | None = None) -> Tensor:
    """Return the mean over objects of 1 - soft IoU (Rahman and Wang 2016). Not in the paper.

    Args:
        logits: (N, 1, H, W).
        labels: The same shape; 0.5 and above is the object.
        void: The same shape, non-zero where no pixel counts; None: everywhere counts.

    Returns:
        A scalar in 0..1; 0 for a batch of no objects.
    """
    if not len(logits):
        return logits.sum()
    counted = torch.ones_like(logits) if void is None else (void < 0.5).to(logits.dtype)
    prob, truth = logits.sigmoid() * counted, (labels >= 0.5) * counted
    common = (prob * truth).flatten(1).sum(1)
    either = (prob + truth).flatten(1).sum(1) - common
    # One pixel more in both, so that an object without pixels has a value.
    return (1 - (common + 1) / (either + 1)).mean()
