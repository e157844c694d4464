"""Small networks to export, with every value random."""

import torch

from dextr.weights import LoadedNetwork
from dextr.weights.state_files import Description
from networks import build_network

SIZE = 64
VARIANTS = {
    "psp": {},
    "atrous": {"head": "atrous"},
    "stride 16": {"stages": 3, "output_stride": 16},
    "skips": {"stages": 3, "output_stride": 16, "skips": 2},
    "mirror": {"mirror": True},
    "two looks": {"in_channels": 5},
    "bottleneck, stride on 1x1": {"backbone": "resnet50"},
    "bottleneck, stride on 3x3": {"backbone": "resnet50", "stride_on": "3x3"},
}


def small_network(backbone="resnet18", **options):
    """A network whose logits for 0..255 are neither tiny nor huge."""
    torch.manual_seed(0)
    network = build_network(backbone, **{"stages": 2, "head_width": 8, **options}).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, torch.nn.Conv2d):
                torch.nn.init.kaiming_normal_(module.weight)
            elif isinstance(module, torch.nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.5, 1)
                module.bias.normal_(0, 0.1)
        network.conv1.weight.div_(100)
    return network


def small_loaded(**options):
    network = small_network(**options)
    about = Description(network.config, SIZE, 20, 0.5, {"note": "made"})
    return LoadedNetwork(network, about, "untrained")


def inputs(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 255 * torch.rand(count, 4, SIZE, SIZE, generator=generator)
