import copy

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dextr.export.pooling import MatrixPool2d, pool_by_matrices, pooling_matrix
from networks import build_network


@given(st.integers(1, 70), st.integers(1, 12))
def test_rows_are_means(length, bins):
    matrix = pooling_matrix(length, bins)
    assert matrix.shape == (bins, length)
    torch.testing.assert_close(matrix.sum(dim=1), torch.ones(bins))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 8), st.integers(0, 2**31))
def test_equals_adaptive_pooling(height, width, bins, seed):
    x = torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(seed))
    expected = F.adaptive_avg_pool2d(x, bins)
    torch.testing.assert_close(MatrixPool2d(bins)(x), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("length", [16, 32, 64])
@pytest.mark.parametrize("bins", [1, 2, 3, 6])
def test_published_sizes_in_float64(length, bins):
    x = torch.randn(1, 2, length, length, dtype=torch.float64)
    # The matrix holds 1/n in float32.
    expected = F.adaptive_avg_pool2d(x, bins)
    torch.testing.assert_close(MatrixPool2d(bins)(x), expected, rtol=0, atol=1e-7)


@pytest.mark.filterwarnings("ignore:.*trace:", "ignore:.*deprecated:FutureWarning")
def test_a_trace_takes_any_batch():
    traced = torch.jit.trace(MatrixPool2d(6), torch.zeros(1, 2, 16, 16))
    x = torch.randn(3, 2, 16, 16)
    torch.testing.assert_close(traced(x), F.adaptive_avg_pool2d(x, 6))


@pytest.mark.parametrize("options", [{}, {"skips": 1}], ids=str)
def test_network_answers_the_same(options):
    torch.manual_seed(0)
    network = build_network("resnet18", stages=2, head_width=4, **options).eval()
    changed = pool_by_matrices(copy.deepcopy(network))
    pools = [m for m in changed.modules() if isinstance(m, MatrixPool2d)]
    assert [pool.bins for pool in pools] == [1, 2, 3, 6]
    assert not any(isinstance(m, nn.AdaptiveAvgPool2d) for m in changed.modules())
    x = 255 * torch.rand(2, 4, 72, 56)
    with torch.no_grad():
        torch.testing.assert_close(changed(x), network(x), rtol=1e-5, atol=1e-6)
