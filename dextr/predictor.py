"""From an image and clicks to a mask, in three lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from dextr.batch import in_groups
from dextr.common.errors import UserError
from dextr.common.images import ImageLike, as_rgb
from dextr.geometry import RELAX, SIZE, SIZES, CropWindow, Margin, Relax
from dextr.inputs import encode
from dextr.points import check_points, place_clicks
from dextr.samples import THRESHOLD, Prediction, check_threshold


@dataclass(frozen=True)
class _Encoded:
    """An object that has not been through the network yet: its input (4, S, S), and whose it is."""

    inputs: NDArray[np.float32]
    clicks: NDArray[np.float64]
    window: CropWindow


class Predictor:
    """A network with everything around it.

    Args:
        network: Takes (N, 4, S, S), gives logits (N, 1, S, S).
        size: Side of the crop the network was trained on.
        relax: Margin around the object's box in pixels of the image, or a rule.
        threshold: Probability above which a pixel is the object's.
        device: Where the network runs; None leaves it where it is.
        batch_size: Objects that go through the network at once.

    Raises:
        ValueError: A size, margin, threshold or batch size out of range.

    >>> predictor = Predictor(lambda inputs: inputs[:, 3:] - 128)  # where the heat map is warm
    >>> image = np.zeros((60, 80, 3), np.uint8)
    >>> predictor.predict(image, [(10, 30), (70, 30), (40, 5), (40, 55)]).mask.shape
    (60, 80)
    """

    def __init__(
        self,
        network: Callable[[Tensor], Tensor],
        *,
        size: int = SIZE,
        relax: Relax = RELAX,
        threshold: float = THRESHOLD,
        device: str | torch.device | None = None,
        batch_size: int = 4,
    ) -> None:
        if not 1 <= size <= SIZES.most:
            raise UserError(f"expected a crop size from 1 to {SIZES.most}, got {size!r}")
        if batch_size < 1:
            raise UserError(f"expected a batch size of 1 or more, got {batch_size}")
        if isinstance(network, nn.Module):
            network = network.eval() if device is None else network.eval().to(device)
        self.network = network
        self.size = size
        self.relax = Margin.of(relax)
        self.threshold = check_threshold(threshold)
        self.device = _device_of(network, device)
        self.batch_size = batch_size

    def predict(
        self, image: ImageLike, points: ArrayLike, threshold: float | None = None
    ) -> Prediction:
        """Return the mask of the object with these extreme points.

        Args:
            image: A file, a PIL image or an array; see `dextr.common.images.as_rgb`.
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
        cut_at = self.threshold if threshold is None else check_threshold(threshold)
        encoded = self._encode(image, list_of_points)
        return [
            prediction
            for batch in in_groups(encoded, self.batch_size)
            for prediction in self._run(batch, cut_at)
        ]

    def _encode(self, image: ImageLike, list_of_points: Sequence[ArrayLike]) -> Iterator[_Encoded]:
        pixels = as_rgb(image)
        hw = (pixels.shape[0], pixels.shape[1])
        for clicks in [check_points(points, hw) for points in list_of_points]:
            window = CropWindow.around(clicks, hw, self.relax, self.size)
            yield _Encoded(encode(pixels, window, place_clicks(clicks, window)), clicks, window)

    def _run(self, batch: Sequence[_Encoded], threshold: float) -> Iterator[Prediction]:
        logits = self.logits(np.stack([encoded.inputs for encoded in batch]))
        for encoded, own in zip(batch, logits, strict=True):
            # A copy: a view would keep the whole batch in memory.
            yield Prediction(own.copy(), threshold, encoded.clicks, encoded.window)

    def logits(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network on encoded objects (N, 4, S, S); returns (N, S, S)."""
        return self.start(inputs)()

    def start(self, inputs: NDArray[np.float32]) -> Callable[[], NDArray[np.float32]]:
        """Begin to run the network on encoded objects (N, 4, S, S).

        Returns:
            What waits for the network and gives the logits (N, S, S). Until it is called, a GPU
            works beside the caller.
        """
        on_gpu = self.device.type == "cuda"
        with torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(inputs))
            if on_gpu:
                batch = batch.pin_memory().to(self.device, non_blocking=True)
            # From a GPU this copies into page-locked memory, while it works.
            logits = self.network(batch)[:, 0].float().to("cpu", non_blocking=True)
        if not on_gpu:
            return logits.numpy
        done = torch.cuda.Event()
        done.record(torch.cuda.current_stream(self.device))

        def wait() -> NDArray[np.float32]:
            done.synchronize()
            return logits.numpy()

        return wait


def _device_of(
    network: Callable[[Tensor], Tensor], device: str | torch.device | None
) -> torch.device:
    """Return the device named, or the one that a network's values are on, or the CPU."""
    if device is not None:
        return torch.device(device)
    parameters = network.parameters() if isinstance(network, nn.Module) else iter(())
    first = next(parameters, None)
    return torch.device("cpu") if first is None else first.device
