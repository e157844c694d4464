"""Networks with their values, by name or file; how a network starts; writing one to a file."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dextr.geometry import RELAX, SIZE
from dextr.predictor import THRESHOLD
from dextr.weights import registry
from dextr.weights.download import find_file
from dextr.weights.exported import ONNX, ExportedNetwork, read_exported
from dextr.weights.initialize import initialize
from dextr.weights.state_files import Description, StateFile, read_state, write_state
from networks import DextrNet, NetworkConfig, load_strict

__all__ = ["LoadedNetwork", "initialize", "load_network", "network_from", "save_network"]

UNTRAINED = Description(
    NetworkConfig("resnet18", stages=3, head_width=64, output_stride=16, skips=2),
    size=256,
    relax=RELAX,
    threshold=0.5,
    origin={"values": "random, seed 0"},
)


@dataclass(frozen=True)
class LoadedNetwork:
    """A network and what it needs around it; see `dextr.weights.state_files.Description`.

    Attributes:
        network: One of ours, or an exported file that runs like one.
        name: The registry's name, or the file.
        trained: Whether its masks mean anything.
    """

    network: DextrNet | ExportedNetwork
    size: int = SIZE
    relax: int = RELAX
    threshold: float = THRESHOLD
    name: str = ""
    trained: bool = True
    origin: dict[str, Any] = field(default_factory=dict)

    @property
    def layers(self) -> DextrNet:
        """The network, with values that can be read and changed.

        Raises:
            ValueError: It is an exported file, which has none.
        """
        if isinstance(self.network, DextrNet):
            return self.network
        raise ValueError(f"{self.name} is an exported network: give the weights it was made of")

    def digest(self) -> str:
        """Return a SHA-256 of the values; of an exported network, of the file."""
        if isinstance(self.network, ExportedNetwork):
            return self.network.digest
        digest = hashlib.sha256()
        for name, tensor in self.network.state_dict().items():
            digest.update(name.encode() + tensor.cpu().numpy().tobytes())
        return digest.hexdigest()


def load_network(weights: str | PathLike[str] | None = None) -> LoadedNetwork:
    """Return a network with its values, in evaluation mode, on the CPU.

    Args:
        weights: A name (`python -m dextr weights` lists them; a published file that is not there
            yet is downloaded), a weights file, or an exported one. None is the network that
            comes with the project; while that is missing, an untrained one, with a warning.

    Raises:
        ValueError: No such weights, or the file does not fit the network it describes.
    """
    if weights is None:
        if registry.bundled_path().exists():
            return load_network(registry.BUNDLED)
        warnings.warn(
            f"{registry.bundled_path()} is missing: using an UNTRAINED network, its masks mean "
            "nothing",
            stacklevel=2,
        )
        return _untrained()
    name = str(weights)
    if name == registry.UNTRAINED:
        return _untrained()
    entry = registry.PUBLISHED.get(name)
    if entry and entry.kind != registry.NETWORK:
        raise ValueError(f"{name!r} is no network to predict with: {entry.purpose}")
    return _from_file(find_file(name), name)


def save_network(
    path: str | PathLike[str],
    network: DextrNet,
    *,
    size: int,
    relax: int,
    threshold: float,
    origin: dict[str, Any],
    half: bool = False,
) -> None:
    """Write a network to a `.safetensors` file that `load_network` reads; the old one stays whole.

    Args:
        path: Where to.
        network: The network.
        size: Side of the crop it was trained on.
        relax: Margin around the object's box in pixels of the image.
        threshold: Probability above which a pixel is the object's.
        origin: Where the values come from; anything JSON can hold.
        half: Store convolutions in half precision, save the first, whose values for 0..255
            input are too small for it.

    Raises:
        ValueError: The name does not end in `.safetensors`, or a value is too large for half
            precision.
    """
    if Path(path).suffix != ".safetensors":
        raise ValueError(f"expected a name that ends in .safetensors, got {path}")
    state = network.state_dict()
    if half:
        state = {k: _halved(k, v) for k, v in state.items()}
    write_state(path, state, Description(network.config, size, relax, threshold, origin))


def _halved(name: str, value: Tensor) -> Tensor:
    if value.ndim != 4 or name == "conv1.weight":
        return value
    if not value.half().isfinite().all():
        raise ValueError(f"{name} holds values too large for half precision")
    return value.half()


def _from_file(path: Path, name: str) -> LoadedNetwork:
    if path.suffix == ONNX:
        exported = read_exported(path)
        trained = exported.weights["trained"]
        return _loaded(exported.network, exported.description, name, trained)
    found = read_state(path)
    try:
        about = found.description or _describe_published(found)
        network = network_from(about.network, found.state)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    return _loaded(network, about, name, trained=True)


def _loaded(
    network: DextrNet | ExportedNetwork, about: Description, name: str, trained: bool
) -> LoadedNetwork:
    return LoadedNetwork(
        network, about.size, about.relax, about.threshold, name, trained, about.origin
    )


def network_from(config: NetworkConfig, state: Mapping[str, Tensor]) -> DextrNet:
    """Build a network that holds exactly this state, without touching the random state.

    Raises:
        ValueError: They do not fit; the message names the entries.
    """
    try:
        with torch.device("meta"):
            network = DextrNet(config)
    except (RuntimeError, TypeError, ValueError) as error:
        raise ValueError(f"no network can be built from {config} ({error})") from None
    # On the meta device this only checks: a description that asks for more memory than its
    # tensors fill is refused before the memory is taken.
    load_strict(network, state)
    network = network.to_empty(device="cpu")
    for name, buffer in network.named_buffers():
        if name.endswith("num_batches_tracked"):
            buffer.zero_()
    load_strict(network, state)
    return network.eval()


def _describe_published(found: StateFile) -> Description:
    """Infer the network of a file that says nothing: one of the published ones."""
    names = [name.removeprefix("module.") for name in found.state]
    for head, mark in (("psp", "layer5.stages."), ("atrous", "layer5.conv2d_list.")):
        if any(name.startswith(mark) for name in names):
            config = NetworkConfig("resnet101", head)
            return Description(config, SIZE, RELAX, THRESHOLD, {"values": "published file"})
    raise ValueError(
        "the file does not say what network it is for, and has no head of a published one "
        f"(layer5.stages or layer5.conv2d_list); it starts with {', '.join(names[:3])}"
    )


def _untrained() -> LoadedNetwork:
    with torch.device("meta"):
        network = DextrNet(UNTRAINED.network)
    network = network.to_empty(device="cpu")
    # He's values for input in 0..1, so that the logits neither vanish nor saturate.
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
    network.conv1.weight.data.div_(255)
    return _loaded(network.eval(), UNTRAINED, registry.UNTRAINED, trained=False)
