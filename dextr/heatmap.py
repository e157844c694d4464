"""The heat map of the extreme points (paper section 3.1)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dextr.common.errors import UserError

FWHM = 10.0


def render_heatmap(
    points_xy: NDArray, hw: tuple[int, int], fwhm: float = FWHM
) -> NDArray[np.float32]:
    """Return the maximum of one Gaussian per point, 1 at a point on a pixel's centre.

    A point at distance d gives exp(-4 ln 2 d^2 / fwhm^2). The published code calls the full
    width at half maximum "sigma"; the standard deviation is fwhm / 2.355. Points are (N, 2), in
    pixel indices of the map, and may lie outside; N may be 0.

    Raises:
        ValueError: The points are not (N, 2), or `fwhm` is not positive.

    >>> render_heatmap(np.array([[1, 0]]), (1, 3), fwhm=2.0).tolist()
    [[0.5, 1.0, 0.5]]
    """
    points = np.asarray(points_xy, dtype=np.float64)
    if points.size == 0:
        return np.zeros(hw, np.float32)
    if points.ndim != 2 or points.shape[1] != 2:
        raise UserError(f"expected points (N, 2), got shape {points.shape}")
    if not fwhm > 0:
        raise UserError(f"expected a positive fwhm, got {fwhm}")
    heatmap = np.zeros(hw, np.float32)
    for x, y in points:
        gx, gy = _gaussian(x, hw[1], fwhm), _gaussian(y, hw[0], fwhm)
        rows, columns = _non_zero(gy), _non_zero(gx)
        near = heatmap[rows, columns]
        np.maximum(near, gy[rows, None] * gx[None, columns], out=near)
    return heatmap


def _gaussian(centre: float, length: int, fwhm: float) -> NDArray[np.float32]:
    return np.exp2(-4 * ((np.arange(length) - centre) / fwhm) ** 2).astype(np.float32)


def _non_zero(gaussian: NDArray[np.float32]) -> slice:
    found = np.flatnonzero(gaussian)
    return slice(found[0], found[-1] + 1) if found.size else slice(0)
