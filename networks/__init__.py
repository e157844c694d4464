"""Networks: tensors in, logits out. Nothing here knows about images or points."""

from networks.dextr_net import DextrNet, NetworkConfig, build_network, init_random
from networks.inference import HalfPrecision, fold, for_inference
from networks.init import LoadReport, load_deeplab, load_imagenet, load_partial, load_strict
from networks.packed import pack

__all__ = [
    "DextrNet",
    "HalfPrecision",
    "LoadReport",
    "NetworkConfig",
    "build_network",
    "fold",
    "for_inference",
    "init_random",
    "load_deeplab",
    "load_imagenet",
    "load_partial",
    "load_strict",
    "pack",
]
