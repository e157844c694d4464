"""How well a mask agrees with the truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def iou(pred: NDArray, gt: NDArray, void: NDArray | None = None) -> float:
    """Return intersection over union of two masks (H, W), void pixels left out; 1 if both empty.

    Raises:
        ValueError: The shapes differ.

    >>> iou(np.array([[1, 1, 0]]), np.array([[0, 1, 1]]))
    0.3333333333333333
    """
    for other in (gt, void):
        if other is not None and np.shape(other) != np.shape(pred):
            raise ValueError(
                f"expected masks of one shape, got {np.shape(pred)}, {np.shape(other)}"
            )
    pred, gt = np.asarray(pred) != 0, np.asarray(gt) != 0
    if void is not None:
        valid = np.asarray(void) == 0
        pred, gt = pred & valid, gt & valid
    union = np.count_nonzero(pred | gt)
    return np.count_nonzero(pred & gt) / union if union else 1.0
