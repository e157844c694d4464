"""How a network's values start: ImageNet's, DeepLab's, or any partial state.

State dictionaries come in as name -> tensor; reading files is `dextr.weights.load`' business.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor

from networks.dextr_net import DextrNet
from networks.efficientnet import SCALINGS, rename_published
from networks.resnet import LAYOUTS

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
HEAT_STD = 0.05
COLOURS = 3
WRAPPERS = re.compile(r"^((module|_orig_mod)\.)+")
State = Mapping[str, Tensor]


@dataclass
class LoadReport:
    """What a loading did, by entry name.

    Attributes:
        loaded: Entries of the network that took a value.
        missing: Entries of the network that kept their own.
        unused: Entries of the state that the network has no place for.
    """

    loaded: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return (
            f"loaded {_summary(self.loaded)}; kept initial values of {_summary(self.missing)}; "
            f"left out of the file {_summary(self.unused)}"
        )


def _summary(names: list[str]) -> str:
    if not names:
        return "nothing"
    parts: dict[str, int] = {}
    for name in names:
        part = name.split(".")[0]
        parts[part] = parts.get(part, 0) + 1
    return ", ".join(f"{part} ({n})" for part, n in parts.items())


def published_names(state: State) -> dict[str, Tensor]:
    """Return the state without the prefixes of DataParallel and `torch.compile`.

    Raises:
        ValueError: Two entries get the same name.
    """
    plain = {WRAPPERS.sub("", name): value for name, value in state.items()}
    if len(plain) < len(state):
        raise ValueError("entries have the same name but for `module.` or `_orig_mod.` before it")
    return plain


def load_strict(net: DextrNet, state: State) -> None:
    """Load a complete state; only `num_batches_tracked` may be absent.

    Raises:
        ValueError: Entries are missing, unexpected, or of another shape or type than a network's;
            the message names them.
    """
    state = published_names(state)
    own = net.state_dict()
    missing = [k for k in own if k not in state and not k.endswith("num_batches_tracked")]
    unexpected = [k for k in state if k not in own]
    problems = [
        *_problem("missing", missing),
        *_problem("unexpected", unexpected),
        *_clashes(own, state),
    ]
    if problems:
        raise ValueError(f"these weights do not fit {net.config}: {'; '.join(problems)}")
    _copy(net, state)


def load_partial(net: DextrNet, state: State) -> LoadReport:
    """Load what fits, if what does not fit makes sense.

    A top-level part of the network (`conv1`, `layer3`, `layer5`, ...) must be given whole or not
    at all, shapes must agree, and at least one convolution must be loaded. To a three-channel
    `conv1` a copy of its last channel is added; what lacks then is zero.

    Raises:
        ValueError: The state covers a part of the network only in places, or nothing of it.
    """
    state = published_names(state)
    own = net.state_dict()
    if "conv1.weight" in state:
        state["conv1.weight"] = extend_channels(state["conv1.weight"], net.config.in_channels)
    wanted = [k for k in own if not k.endswith("num_batches_tracked")]
    report = LoadReport(
        loaded=[k for k in wanted if k in state],
        missing=[k for k in wanted if k not in state],
        unused=[k for k in state if k not in own],
    )
    torn = {k.split(".")[0] for k in report.loaded} & {k.split(".")[0] for k in report.missing}
    problems = [
        *_clashes(own, state),
        *_problem("missing from parts that are there", _in_parts(report.missing, torn)),
        *_problem(
            "unexpected in parts of the network",
            _in_parts(report.unused, {k.split(".")[0] for k in report.loaded}),
        ),
    ]
    if not any(own[k].ndim == 4 for k in report.loaded):
        problems.append("no convolution of the network is in the file")
    if problems:
        raise ValueError(f"these weights do not fit {net.config}: {'; '.join(problems)}")
    _copy(net, {k: state[k] for k in report.loaded})
    return report


def load_imagenet(net: DextrNet, state: State | None = None) -> LoadReport:
    """Load ImageNet weights, made to take 0..255 input: torchvision's, or EfficientNet-Lite's.

    Mean and standard deviation are folded into the first convolution and the batch norm behind
    it, which is exact wherever the 7x7 window lies inside the image (outside, torchvision pads
    with the mean colour and DEXTR with black). The heat map's channel starts as a copy of the
    last colour's: docs/initialisation.md has the comparison.

    Args:
        net: The network, built with `stride_on="3x3"` if it has bottlenecks.
        state: A state in torchvision's names, or those of `efficientnet-lite-pytorch` (there the
            heat map's channel starts small and random); None asks torchvision for its own.

    Raises:
        ValueError: The network strides elsewhere than these weights were trained for, or the
            state does not fit.
    """
    if net.config.backbone in SCALINGS:
        if state is None:
            raise ValueError(f"give the ImageNet weights of {net.config.backbone}")
        return _load_efficientnet(net, published_names(state))
    require_stride(net, "3x3", "torchvision's ImageNet weights")
    if state is None:
        import torchvision  # Late: it takes as long to import as all the rest.

        weights = torchvision.models.get_model_weights(net.config.backbone)["IMAGENET1K_V1"]
        state = weights.get_state_dict(progress=True, check_hash=True, weights_only=True)
    return load_partial(net, fold_normalization(published_names(state)))


def _load_efficientnet(net: DextrNet, state: State) -> LoadReport:
    own = net.state_dict()
    named = rename_published(state, own)
    colours = named.get("conv1.weight")
    if colours is not None and colours.shape[1] == COLOURS:
        # As small as the colours' own, so that the features begin as ImageNet's.
        named["conv1.weight"] = torch.randn_like(own["conv1.weight"]) * HEAT_STD
        named["conv1.weight"][:, :COLOURS] = colours
    return load_partial(net, named)


def require_stride(net: DextrNet, stride_on: str, what: str) -> None:
    """Refuse weights whose bottlenecks strode elsewhere: they fit, but mean something else.

    Raises:
        ValueError: The network has bottlenecks, and their stride is not on `stride_on`.
    """
    layout = LAYOUTS.get(net.config.backbone)
    if layout and layout.bottleneck and net.config.stride_on != stride_on:
        raise ValueError(
            f"{what} were trained with the stride on the {stride_on} convolution: build the "
            f'network with stride_on="{stride_on}"'
        )


def fold_normalization(state: State) -> dict[str, Tensor]:
    """Return the state with (x / 255 - mean) / std moved into `conv1` and `bn1.running_mean`.

    Raises:
        ValueError: The state has no first convolution of three channels with its batch norm.
    """
    folded = dict(state)
    weight = folded.get("conv1.weight")
    if weight is None or weight.shape[1:] != (3, 7, 7) or "bn1.running_mean" not in folded:
        raise ValueError(
            "expected torchvision's names with conv1.weight (64, 3, 7, 7) and bn1.running_mean, "
            f"got {'no conv1.weight' if weight is None else f'conv1.weight {tuple(weight.shape)}'}"
        )
    mean = torch.tensor(IMAGENET_MEAN, dtype=weight.dtype)[:, None, None]
    std = torch.tensor(IMAGENET_STD, dtype=weight.dtype)[:, None, None]
    shift = (weight * (mean / std)).sum(dim=(1, 2, 3))
    folded["conv1.weight"] = weight / (255 * std)
    folded["bn1.running_mean"] = folded["bn1.running_mean"] + shift
    return folded


def load_deeplab(net: DextrNet, state: State, released: bool = False) -> LoadReport:
    """Load the backbone of the multi-scale DeepLab-v2 file (names under `Scale.`).

    Args:
        net: A network with the published stride.
        state: The file's entries.
        released: Do what the released code did instead of what it meant to: `conv1` and every
            running statistic keep their initial values.

    Raises:
        ValueError: The file holds no `Scale.` entries, or they do not fit, or the network
            strides elsewhere.
    """
    backbone = {
        name.removeprefix("Scale."): value
        for name, value in published_names(state).items()
        if name.startswith("Scale.") and not name.startswith("Scale.layer5.")
    }
    if not backbone:
        raise ValueError(
            "expected a multi-scale DeepLab file with entries under 'Scale.', got "
            f"{', '.join(list(state)[:3]) or 'an empty file'} ..."
        )
    require_stride(net, "1x1", "DeepLab's weights")
    before = {k: v.clone() for k, v in net.state_dict().items()}
    report = load_partial(net, backbone)
    if released:
        kept = [k for k in report.loaded if k == "conv1.weight" or ".running_" in k]
        _copy(net, {k: before[k] for k in kept})
        report.loaded = [k for k in report.loaded if k not in kept]
        report.missing += kept
    return report


def extend_channels(weight: Tensor, channels: int) -> Tensor:
    """Return a first convolution's weight (C_out, C, k, k) with at least so many input channels.

    The heat map's begins as a copy of the last colour's; those of what a network that looks twice
    sees besides begin as zero, so that it answers as before.
    """
    if weight.shape[1] == COLOURS < channels:
        weight = torch.cat([weight, weight[:, -1:]], dim=1)
    return F.pad(weight, (0, 0, 0, 0, 0, max(channels - weight.shape[1], 0)))


def _copy(net: DextrNet, state: State) -> None:
    own = net.state_dict()
    with torch.no_grad():
        for name, value in state.items():
            own[name].copy_(value)


def _clashes(own: State, state: State) -> list[str]:
    """Say which entries a network cannot take, or could take only with other values."""
    both = [(name, value, state[name]) for name, value in own.items() if name in state]
    shapes = [f"{k} {tuple(v.shape)} for {tuple(o.shape)}" for k, o, v in both
              if v.shape != o.shape]  # fmt: skip
    types = [f"{k} {v.dtype} for {o.dtype}" for k, o, v in both
             if v.is_floating_point() != o.is_floating_point()]  # fmt: skip
    ranges = [k for k, o, v in both if not _in_range(k, o, v)]
    return [
        *_problem("of another shape", shapes),
        *_problem("of another type", types),
        *_problem("out of range", ranges),
    ]


def _in_range(name: str, own: Tensor, value: Tensor) -> bool:
    if not value.is_floating_point() or not own.is_floating_point() or not value.numel():
        return True
    if name.endswith("running_var") and not value.is_meta and value.min() < 0:
        return False
    # Only wider numbers can be lost.
    wide = value.element_size() > own.element_size()
    return not wide or bool(value.abs().max() <= torch.finfo(own.dtype).max)


def _in_parts(names: list[str], parts: set[str]) -> list[str]:
    return [k for k in names if k.split(".")[0] in parts]


def _problem(what: str, names: list[str]) -> list[str]:
    if not names:
        return []
    shown = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
    return [f"{len(names)} {what} ({shown})"]
