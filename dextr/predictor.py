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
from dextr.inputs import drop_loose_pieces, encode
from dextr.points import check_points, place_clicks
from dextr.samples import THRESHOLD, Prediction, check_share, check_threshold


@dataclass(frozen=True)
class _Encoded:
    """An object that has not been through the network yet: its input (C, S, S), and whose it is."""

    inputs: NDArray[np.float32]
    clicks: NDArray[np.float64]
    in_crop: NDArray[np.float64]
    window: CropWindow


class Predictor:
    """A network with everything around it.

    Args:
        network: Takes (N, 4, S, S), gives logits (N, 1, S, S); if it looks twice, also
            (N, 5, S, S), see `look_again`.
        size: Side of the crop the network was trained on.
        relax: Margin around the object's box in pixels of the image, or a rule.
        threshold: Probability above which a pixel is the object's.
        device: Where the network runs; None leaves it where it is.
        batch_size: Objects that go through the network at once.
        look_twice: Whether further points are for a second look, which sees the first's mask.
        pieces: The smallest share of the mask that a piece without a click on it may have; 0
            keeps all. See `drop_loose_pieces`.

    Raises:
        ValueError: A size, margin, threshold, share or batch size out of range.

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
        look_twice: bool = False,
        pieces: float = 0.0,
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
        self.look_twice = look_twice
        self.pieces = check_share(pieces)

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
            in_crop = place_clicks(clicks, window)
            inputs = encode(pixels, window, in_crop, self.look_twice)
            yield _Encoded(inputs, clicks, in_crop, window)

    def _run(self, batch: Sequence[_Encoded], threshold: float) -> Iterator[Prediction]:
        logits = self.logits(np.stack([encoded.inputs for encoded in batch]))
        for encoded, own in zip(batch, logits, strict=True):
            # A copy: a view would keep the whole batch in memory.
            cleaned = self.clean(own.copy(), encoded.in_crop, threshold)
            yield Prediction(cleaned, threshold, encoded.clicks, encoded.window)

    def clean(
        self, logits: NDArray[np.float32], in_crop: NDArray, threshold: float
    ) -> NDArray[np.float32]:
        """Return an object's logits (S, S) without loose pieces, if the weights ask for that."""
        if not self.pieces:
            return logits
        return drop_loose_pieces(logits, in_crop, threshold, self.pieces)

    def logits(self, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run the network on encoded objects (N, C, S, S), see `encode`; returns (N, S, S)."""
        return self.start(inputs)()

    def start(self, inputs: NDArray[np.float32]) -> Callable[[], NDArray[np.float32]]:
        """Begin to run the network on encoded objects (N, C, S, S).

        Returns:
            What waits for the network and gives the logits (N, S, S). Until it is called, a GPU
            works beside the caller. It raises a ValueError where they are not finite.
        """
        on_gpu = self.device.type == "cuda"
        with torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(inputs))
            if on_gpu:
                layout = torch.channels_last
                batch = batch.pin_memory().to(self.device, non_blocking=True, memory_format=layout)
            # From a GPU this copies into page-locked memory, while it works.
            if self.look_twice:
                further = [bool(one[4].any()) for one in inputs]
                answers = look_again(self.network, batch, further)
            else:
                answers = self.network(batch)
            logits = answers[:, 0].float().to("cpu", non_blocking=True)
        if not on_gpu:
            return lambda: _finite(logits.numpy())
        done = torch.cuda.Event()
        done.record(torch.cuda.current_stream(self.device))

        def wait() -> NDArray[np.float32]:
            done.synchronize()
            return _finite(logits.numpy())

        return wait


def look_again(
    network: Callable[[Tensor], Tensor], encoded: Tensor, further: Sequence[bool]
) -> Tensor:
    """Return the logits (N, 1, S, S) of a network that looks twice where there is a reason to.

    It first sees the extreme points alone, as any network does. Objects with further points are
    shown to it again with all points and what it made of them the first time.

    Args:
        network: Takes (N, 4, S, S), or (N, 5, S, S) with the first answer's probabilities, 0..255.
        encoded: (N, 5, S, S), from `encode`.
        further: For each of them, whether it has further points.
    """
    logits = network(encoded[:, :4])
    rows = [row for row, more in enumerate(further) if more]
    if not rows:
        return logits
    again = encoded[rows]
    again[:, 3] = torch.maximum(again[:, 3], again[:, 4])
    again[:, 4] = 255 * logits[rows, 0].sigmoid()
    logits[rows] = network(again)
    return logits


def _finite(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    if not np.isfinite(logits).all():
        raise UserError(
            "the network's logits are not finite: half precision (fp16) may be too small for its "
            "values, or the weights are damaged"
        )
    return logits


def _device_of(
    network: Callable[[Tensor], Tensor], device: str | torch.device | None
) -> torch.device:
    """Return the device named, or the one that a network's values are on, or the CPU."""
    if device is not None:
        return torch.device(device)
    parameters = network.parameters() if isinstance(network, nn.Module) else iter(())
    first = next(parameters, None)
    return torch.device("cpu") if first is None else first.device
