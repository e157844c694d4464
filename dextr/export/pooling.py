"""Adaptive average pooling as the fixed linear map it is, for formats that lack it."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def pooling_matrix(length: int, bins: int) -> Tensor:
    """Return the matrix (bins, length) that averages as `nn.AdaptiveAvgPool2d` does along an axis.

    Bin k covers floor(k * length / bins) up to ceil((k + 1) * length / bins), exclusive: where
    the length is no multiple of the number of bins, neighbours overlap.

    >>> pooling_matrix(4, 3)
    tensor([[0.5000, 0.5000, 0.0000, 0.0000],
            [0.0000, 0.5000, 0.5000, 0.0000],
            [0.0000, 0.0000, 0.5000, 0.5000]])
    """
    matrix = torch.zeros(bins, length)
    for k in range(bins):
        start, stop = k * length // bins, -(-(k + 1) * length // bins)
        matrix[k, start:stop] = 1 / (stop - start)
    return matrix


class MatrixPool2d(nn.Module):
    """What `nn.AdaptiveAvgPool2d(bins)` computes, as two matrix products.

    Traced, the matrices are constants: the trace is for one height and width, and any batch.
    """

    def __init__(self, bins: int) -> None:
        super().__init__()
        self.bins = bins

    def forward(self, x: Tensor) -> Tensor:
        # Lists, so that a trace holds the finished matrices and not how they were filled.
        rows, columns = (pooling_matrix(int(n), self.bins).tolist() for n in x.shape[2:])
        left = torch.tensor(rows, dtype=x.dtype, device=x.device)
        right = torch.tensor(columns, dtype=x.dtype, device=x.device).t().contiguous()
        return left @ x @ right


def pool_by_matrices(network: nn.Module) -> nn.Module:
    """Replace every square adaptive average pooling of a network, in place, by `MatrixPool2d`."""
    for module in list(network.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, nn.AdaptiveAvgPool2d) and isinstance(child.output_size, int):
                setattr(module, name, MatrixPool2d(child.output_size))
    return network
