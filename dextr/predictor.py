"""From an image and clicks to a mask, in three lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from dextr.geometry import RELAX, SIZE, CropWindow
from dextr.images import ImageLike, as_rgb
from dextr.inputs import decode, encode
from dextr.points import check_points, place_clicks
from dextr.samples import Prediction

if TYPE_CHECKING:
    from dextr.weights import LoadedNetwork

THRESHOLD = 0.8


class Predictor:
    """A network with everything around it.

    Args:
        network: Takes (N, 4, S, S), gives logits (N, 1, S, S).
        size: Side of the crop the network was trained on.
        relax: Margin around the object's box in pixels of the image.
        threshold: Probability above which a pixel is the object's.
        device: Where the network runs; None leaves it where it is.
        batch_size: Objects that go through the network at once.

    >>> predictor = load_predictor("untrained")
    >>> image = np.zeros((60, 80, 3), np.uint8)
    >>> predictor.predict(image, [(10, 30), (70, 30), (40, 5), (40, 55)]).mask.shape
    (60, 80)
    """

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        *,
        size: int = SIZE,
        relax: int = RELAX,
        threshold: float = THRESHOLD,
        device: str | torch.device | None = None,
        batch_size: int = 4,
    ) -> None:
        if isinstance(network, nn.Module):
            network = network.eval() if device is None else network.eval().to(device)
        self.network = network
        self.size = size
        self.relax = relax
        self.threshold = check_threshold(threshold)
        self.device = _device_of(network, device)
        self.batch_size = batch_size

    @classmethod
    def from_loaded(
        cls, loaded: LoadedNetwork, device: str | torch.device | None = None
    ) -> Predictor:
        """Return a predictor around `dextr.weights.load_network`'s result; see `load_predictor`."""
        return cls(
            loaded.network,
            size=loaded.size,
            relax=loaded.relax,
            threshold=loaded.threshold,
            device=pick_device(device),
        )

    def predict(
        self, image: ImageLike, points: ArrayLike, threshold: float | None = None
    ) -> Prediction:
        """Return the mask of the object with these extreme points.

        Args:
            image: A file, a PIL image or an array; see `dextr.images.as_rgb`.
            points: (N, 2), xy, in any order: the left-, right-, top- and bottom-most point of
                the object, and any further points on its outline.
            threshold: Another threshold than the predictor's own.

        Raises:
            ValueError: The image cannot be used; or fewer than 4 points, not finite, outside
                the image, or all identical.
        """
        return self.predict_many(image, [points], threshold)[0]

    def predict_many(
        self,
        image: ImageLike,
        list_of_points: Sequence[ArrayLike],
        threshold: float | None = None,
    ) -> list[Prediction]:
        """Return the masks of several objects of one image, batched; see `predict`."""
        pixels = as_rgb(image)
        hw = (pixels.shape[0], pixels.shape[1])
        cut_at = self.threshold if threshold is None else check_threshold(threshold)
        clicks = [check_points(points, hw) for points in list_of_points]
        windows = [CropWindow.around(p, hw, self.relax, self.size) for p in clicks]
        predictions = []
        for start in range(0, len(clicks), self.batch_size):
            part = range(start, min(start + self.batch_size, len(clicks)))
            inputs = [encode(pixels, windows[k], place_clicks(clicks[k], windows[k])) for k in part]
            for k, logits in zip(part, self.logits(np.stack(inputs)), strict=True):
                prob = decode(logits, windows[k])
                predictions.append(Prediction(prob, cut_at, clicks[k], windows[k]))
        return predictions

    def logits(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network on encoded objects (N, 4, S, S); returns (N, S, S)."""
        with torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(inputs)).to(self.device)
            return self.network(batch)[:, 0].float().cpu().numpy()


def load_predictor(
    weights: str | PathLike[str] | None = None, device: str | torch.device | None = None
) -> Predictor:
    """Return a predictor ready to use.

    Args:
        weights: A name in the registry (`python -m dextr weights` lists them) or a file; None
            is the network that comes with the project.
        device: Such as `cpu` or `cuda`; None takes a CUDA GPU if there is one.

    Raises:
        ValueError: No such weights, or the file does not fit the network it names.
    """
    from dextr.weights import load_network

    return Predictor.from_loaded(load_network(weights), device)


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """Return the device asked for, or CUDA if there is one, or the CPU.

    Raises:
        ValueError: No such device on this machine.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ValueError(f"no device {device!r}: expected 'cpu', 'cuda' or 'cuda:N'") from None
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"no device {device!r}: this machine has {torch.cuda.device_count()} CUDA GPUs; "
            "use 'cpu'"
        )
    return chosen


def check_threshold(threshold: float) -> float:
    """Return the threshold if it lies in 0..1.

    Raises:
        ValueError: It does not.
    """
    if not 0 <= threshold <= 1:
        raise ValueError(f"expected a threshold in 0..1, got {threshold}")
    return float(threshold)


def _device_of(
    network: Callable[[Tensor], Tensor], device: str | torch.device | None
) -> torch.device:
    if device is not None:
        return torch.device(device)
    parameters = network.parameters() if isinstance(network, nn.Module) else iter(())
    first = next(parameters, None)
    return torch.device("cpu") if first is None else first.device
