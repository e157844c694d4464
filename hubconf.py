"""Entry points for torch.hub.

>>> import torch
>>> predictor = torch.hub.load(".", "dextr_resnet101", source="local")  # doctest: +SKIP
>>> mask = predictor.predict(image, points).mask  # doctest: +SKIP

The first argument is the checkout's folder; a published repository is named OWNER/NAME, without
`source`. Both entries give a `dextr.Predictor`, which takes images and points. The network itself,
to train or to take apart, is `dextr.weights.load_network(NAME).network`.
"""

from __future__ import annotations

from dextr import Predictor, load_predictor
from dextr.common.processes import pick_device
from networks import build_network

dependencies = [
    *("torch", "torchvision", "numpy", "cv2", "PIL"),
    *("safetensors", "tqdm", "filelock", "platformdirs"),
]


def dextr_resnet101(
    pretrained: bool = True, weights: str = "pascal-sbd", device: str | None = None
) -> Predictor:
    """The paper's network (ResNet-101, PSP head, 512 x 512 crops).

    Args:
        pretrained: False gives the original's random initial values, to train from.
        weights: `pascal-sbd`, `pascal` or `coco`, downloaded once (about 190 MB), or a file.
        device: Such as `cpu` or `cuda`; None takes a CUDA GPU if there is one.

    Raises:
        ValueError: The weights cannot be had, or do not fit.
    """
    if pretrained:
        return load_predictor(weights, device)
    return Predictor(build_network(), device=pick_device(device))


def dextr_small(device: str | None = None) -> Predictor:
    """The small network that comes with the project: no download.

    While its file is missing, an untrained network takes its place, with a warning.
    """
    return load_predictor(None, device)
