"""Batch norm over several processes; two of them are in tests/dextr/common/test_processes.py."""

import copy

import pytest
import torch
import torch.distributed as dist
from torch._subclasses.fake_tensor import FakeTensorMode

from networks import build_network, sync_norm
from networks.heads import HeadBatchNorm
from networks.sync_norm import SyncedBatchNorm, synchronize_batch_norm


def test_synchronizing_keeps_names_and_evaluation():
    network = build_network("resnet18", head_width=4, stages=2).eval()
    x = 255 * torch.rand(2, 4, 32, 32)
    before, names = network(x), list(network.state_dict())
    synchronize_batch_norm(network)
    norms = [m for m in network.modules() if isinstance(m, torch.nn.BatchNorm2d)]
    assert all(type(m) is SyncedBatchNorm for m in norms)
    assert list(network.state_dict()) == names
    assert torch.equal(network(x), before)


@pytest.fixture
def group():
    dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def both(channels=3):
    torch.manual_seed(0)
    plain = HeadBatchNorm(channels).double()
    torch.nn.init.normal_(plain.weight)
    synced = copy.deepcopy(plain)
    synchronize_batch_norm(synced)
    return plain, synced


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("shape", [(1, 3, 1, 1), (2, 3, 1, 1), (1, 3, 1, 2), (4, 3, 5, 6)])
def test_a_group_of_one_is_plain_batch_norm(shape):
    x = 7 + 3 * torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    results = []
    for norm in both():
        own = x.clone().requires_grad_()
        y = norm(own)
        (y * torch.arange(y.numel(), dtype=y.dtype).view(shape)).sum().backward()
        results.append([y, own.grad, norm.weight.grad, norm.running_mean, norm.running_var])
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(b, a)


@pytest.mark.usefixtures("group")
def test_messages_of_a_layer(monkeypatch):
    """One for count and sums, one for the squares; the same on the way back."""
    sent = []
    reduce = dist.all_reduce
    monkeypatch.setattr(dist, "all_reduce", lambda t: (sent.append(tuple(t.shape)), reduce(t)))
    _, norm = both()
    norm(torch.randn(2, 3, 4, 4, dtype=torch.float64, requires_grad=True)).square().sum().backward()
    assert sent == [(4,), (3,), (3,), (4,)]


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize(
    ("device", "shape", "native"),
    [
        ("cpu", (2, 3, 4, 4), False),
        ("cuda", (2, 3, 4, 4), True),
        ("cuda", (0, 3, 4, 4), True),
        ("cuda", (1, 3, 1, 2), True),
        ("cuda", (2, 3, 1, 1), False),
        ("cuda", (0, 3, 1, 1), False),
    ],
)
def test_which_function_a_share_of_any_size_takes(monkeypatch, device, shape, native):
    """All processes have to decide alike, whatever their number of objects."""
    took = []
    monkeypatch.setattr(sync_norm.NativeFunction, "apply", lambda x, *_: took.append(True) or x)
    monkeypatch.setattr(dist, "all_reduce", lambda t: None)
    with FakeTensorMode():
        norm = HeadBatchNorm(3, device=device)
        synchronize_batch_norm(norm)
        assert norm(torch.empty(shape, device=device)).shape == shape
    assert took == [True] * native
