"""Weights and values in 8 bits: post-training static quantization of an ONNX file."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dextr.weights.exported import INPUT, import_package


class Calibration:
    """Hands inputs (4, S, S) to ONNX Runtime's calibration, each as a batch of its copies."""

    def __init__(self, inputs: Iterable[NDArray[np.float32]], batch: int) -> None:
        self._batches = ({INPUT: np.repeat(values[None], batch, axis=0)} for values in inputs)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next input by name, None after the last."""
        return next(self._batches, None)


def quantize(path: Path, inputs: Iterable[NDArray[np.float32]], batch: int) -> None:
    """Quantize an ONNX file in place, with scales and offsets between the operators (QDQ).

    Weights get a range per output channel, activations one per tensor: from the least to the
    largest value seen.

    Args:
        path: The file; what it says of itself is lost.
        inputs: What to see values of, (4, S, S) each.
        batch: The only batch the file takes, or 1.

    Raises:
        ValueError: A package is not installed.
    """
    import_package("onnxruntime")
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    # It advises to prepare the graph, which is a plain one.
    logging.disable(logging.WARNING)
    try:
        quantize_static(
            path,
            path,
            Calibration(inputs, batch),
            quant_format=QuantFormat.QDQ,
            per_channel=True,
            # 7 bits of weight: 8 overflow on CPUs without VNNI, and gain nothing here.
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )
    finally:
        logging.disable(logging.NOTSET)
