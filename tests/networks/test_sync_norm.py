import torch

from networks import build_network
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
