"""Networks with their values, by name or file; and writing one to a file."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from dextr.common.errors import UserError
from dextr.common.processes import pick_device
from dextr.geometry import RELAX, SIZE, Relax
from dextr.predictor import Predictor
from dextr.samples import THRESHOLD
from dextr.weights import registry
from dextr.weights.download import find_file
from dextr.weights.exported import ONNX, ExportedNetwork, read_exported
from dextr.weights.state_files import CHANNELS, Description, read_state, write_state
from networks import DextrNet, HalfPrecision, NetworkConfig, fold, for_inference, load_strict, pack
from networks.init import published_names


@dataclass(frozen=True)
class LoadedNetwork:
    """A network and what it needs around it.

    Attributes:
        network: One of ours, or an exported file that runs like one.
        about: Its layers, crop, margin and threshold, and where its values come from.
        name: The registry's name, or the file.
        trained: Whether its masks mean anything.
        sha256: Of the file its values were read from; None if from nowhere.
    """

    network: DextrNet | ExportedNetwork
    about: Description
    name: str
    trained: bool = True
    sha256: str | None = None

    @property
    def layers(self) -> DextrNet:
        """The network, with values that can be read and changed.

        Raises:
            ValueError: It is an exported file, which has none.
        """
        if isinstance(self.network, DextrNet):
            return self.network
        raise UserError(f"{self.name} is an exported network: give the weights it was made of")

    def digest(self) -> str:
        """Return a SHA-256 of the values; of an exported network, of the file."""
        if isinstance(self.network, ExportedNetwork):
            return self.network.digest
        digest = hashlib.sha256()
        for name, tensor in self.network.state_dict().items():
            digest.update(name.encode() + tensor.cpu().numpy().tobytes())
        return digest.hexdigest()

    def predictor(
        self,
        device: str | torch.device | None = None,
        *,
        size: int | None = None,
        relax: Relax | None = None,
        threshold: float | None = None,
        batch_size: int = 4,
        pieces: float | None = None,
        keep: bool = True,
        amp: str | None = None,
    ) -> Predictor:
        """Return a predictor around the network.

        It runs a copy of the network (`networks.for_inference`, on the CPU also `networks.pack`);
        with `keep=False` the network itself is used up for it, which saves its size in memory.
        With `amp`, `bf16` or `fp16`, convolutions compute in half precision: for GPUs.
        Without a `device` it takes a CUDA GPU if there is one; `size`, `relax`, `threshold` and
        `pieces` are the weights' own unless given. See `Predictor`.

        Raises:
            ValueError: No such device, a value is out of range, or `amp` for an exported network.
        """
        chosen, about = pick_device(device), self.about
        network: Callable[[Tensor], Tensor] = self.network
        if amp:
            network = HalfPrecision(for_inference(self.layers) if keep else fold(self.layers), amp)
        elif isinstance(network, DextrNet):
            network = for_inference(network) if keep else fold(network)
            network = pack(network) if chosen.type == "cpu" else network
        return Predictor(
            network,
            size=about.size if size is None else size,
            relax=about.relax if relax is None else relax,
            threshold=about.threshold if threshold is None else threshold,
            device=chosen,
            batch_size=batch_size,
            look_twice=about.network.looks_twice,
            pieces=about.pieces if pieces is None else pieces,
        )


def load_predictor(
    weights: str | PathLike[str] | None = None, device: str | torch.device | None = None
) -> Predictor:
    """Return a predictor ready to use.

    `weights` is what `load_network` takes: a name or a file, or None for the network that comes
    with the project. Without a `device` it takes a CUDA GPU if there is one.

    Raises:
        ValueError: No such weights or device, or the file does not fit the network it names.
    """
    return load_network(weights).predictor(device, keep=False)


def load_network(weights: str | PathLike[str] | None = None) -> LoadedNetwork:
    """Return a network with its values, in evaluation mode, on the CPU.

    Args:
        weights: A name (`python -m dextr weights` lists them; a published file that is not there
            yet is downloaded), a weights file, or an exported one. None is the network that
            comes with the project; while that is missing, an untrained one, with a warning.

    Raises:
        ValueError: No such weights, or the file does not fit the network it describes.
    """
    name = str(weights)
    if weights is None and registry.bundled_path().exists():
        name = registry.BUNDLED
    elif weights is None:
        warnings.warn(
            f"{registry.bundled_path()} is missing: using an UNTRAINED network, its masks mean "
            "nothing",
            stacklevel=2,
        )
        name = registry.UNTRAINED
    if name == registry.UNTRAINED:
        return _untrained()
    entry = registry.PUBLISHED.get(name)
    if entry and entry.kind != registry.NETWORK:
        raise UserError(f"{name!r} is no network to predict with: {entry.purpose}")
    content = find_file(name)
    if content.path.suffix == ONNX:
        exported = read_exported(content)
        return LoadedNetwork(exported, exported.about, name, exported.trained, exported.digest)
    found = read_state(content)
    try:
        about = found.description or _describe_published(found.state)
        if (got := about.network.in_channels) not in CHANNELS:
            raise UserError(f"expected a network of 4 or 5 channels (RGB, heat map), got {got}")
        network = network_from(about.network, found.state)
    except ValueError as error:
        raise UserError(f"{content.path}: {error}") from None
    return LoadedNetwork(network, about, name, sha256=found.sha256)


def save_network(
    path: str | PathLike[str],
    network: DextrNet,
    *,
    size: int,
    relax: Relax,
    threshold: float,
    origin: dict[str, Any],
    half: bool = False,
    pieces: float = 0.0,
) -> None:
    """Write a network to a `.safetensors` file that `load_network` reads; the old one stays whole.

    `size`, `relax`, `threshold`, `origin` and `pieces` are those of `Description`. With `half`
    convolutions are stored in half precision, save the first: for 0..255 input its values are too
    small.

    Raises:
        ValueError: The name does not end in `.safetensors`, or half precision lacks the range.
    """
    if Path(path).suffix != ".safetensors":
        raise UserError(f"expected a name that ends in .safetensors, got {path}")
    state = network.state_dict()
    for name in [k for k, v in state.items() if half and v.ndim == 4 and k != "conv1.weight"]:
        state[name] = state[name].half()
        if not state[name].isfinite().all():
            raise UserError(f"{name} holds values too large for half precision")
    about = Description(network.config, size, relax, threshold, origin, pieces)
    write_state(path, state, about)


def network_from(config: NetworkConfig, state: Mapping[str, Tensor]) -> DextrNet:
    """Build a network that holds exactly this state, without touching the random state.

    Raises:
        ValueError: They do not fit; the message names the entries.
    """
    try:
        with torch.device("meta"):
            network = DextrNet(config).float()  # whatever PyTorch's default type is
    except (RuntimeError, TypeError, ValueError) as error:
        raise UserError(f"no network can be built from {config} ({error})") from None
    # On the meta device this only checks: a description that asks for more memory than its
    # tensors fill is refused before the memory is taken.
    load_strict(network, state)
    network = network.to_empty(device="cpu")
    for name, buffer in network.named_buffers():
        if name.endswith("num_batches_tracked"):
            buffer.zero_()
    load_strict(network, state)
    return network.eval()


def _describe_published(state: Mapping[str, Tensor]) -> Description:
    """Infer the network of a file that says nothing: one of the published ones."""
    names = list(published_names(state))
    for head, mark in (("psp", "layer5.stages."), ("atrous", "layer5.conv2d_list.")):
        if any(name.startswith(mark) for name in names):
            config = NetworkConfig("resnet101", head)
            return Description(config, SIZE, RELAX, THRESHOLD, {"values": "published file"})
    raise UserError(
        "the file does not say what network it is for, and has no head of a published one "
        f"(layer5.stages or layer5.conv2d_list); it starts with {', '.join(names[:3])}"
    )


def _untrained() -> LoadedNetwork:
    config = NetworkConfig("resnet18", stages=3, head_width=64, output_stride=16, skips=2)
    about = Description(config, 256, RELAX, 0.5, {"values": "random, seed 0"})
    with torch.device("meta"):
        network = DextrNet(config).float()
    network = network.to_empty(device="cpu")
    # He's values for input in 0..1, so that the logits neither vanish nor saturate.
    generator = torch.Generator().manual_seed(0)
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu", generator=generator)
            if module.bias is not None:
                module.bias.data.zero_()
        elif isinstance(module, nn.BatchNorm2d):
            module.reset_parameters()
    network.conv1.weight.data.div_(255)
    return LoadedNetwork(network.eval(), about, registry.UNTRAINED, trained=False)
