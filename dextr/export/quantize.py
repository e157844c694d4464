"""Weights and values in 8 bits: post-training static quantization of an ONNX file."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dextr.weights.exported import INPUT, import_package


class Calibration:
    """Hands inputs to ONNX Runtime's calibration, one after another.

    Args:
        inputs: (4, S, S) each.
        batch: The only batch the network takes: filled with copies.
    """

    def __init__(self, inputs: Iterable[NDArray[np.float32]], batch: int = 1) -> None:
        self._inputs = iter(inputs)
        self._batch = batch

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        """Return the next input by name, None after the last."""
        for values in self._inputs:
            return {INPUT: np.repeat(values[None], self._batch, axis=0)}
        return None


def quantize(path: Path, inputs: Iterable[NDArray[np.float32]], batch: int = 1) -> None:
    """Quantize an ONNX file in place, with scales and offsets between the operators (QDQ).

    Weights get a range per output channel, activations one per tensor: from the least to the
    largest value seen.

    Args:
        path: The file.
        inputs: What to see values of, (4, S, S) each.
        batch: The only batch the file takes, or 1.

    Raises:
        ValueError: A package is not installed.
    """
    onnx = import_package("onnx")
    import_package("onnxruntime")
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    properties = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    with _quietly():
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
    model = onnx.load(path)
    onnx.helper.set_model_props(model, properties)
    onnx.save(model, path)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep back advice on preparing the graph: it is a plain one."""
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
