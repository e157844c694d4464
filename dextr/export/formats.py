"""Writing a network as ONNX.

It is traced. PyTorch's newer exporter, on top of torch.export, was tried and left: it takes ten
times as long and needs one more package, for the same graph.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from dextr.weights.exported import INPUT, OUTPUT, import_onnx
from dextr.weights.state_files import METADATA_KEY

OPSET = 18


def write_onnx(
    network: nn.Module, size: int, path: Path, metadata: str, batch: int | None = None
) -> None:
    """Write an ONNX file.

    Args:
        network: Takes (N, 4, size, size), pools by matrices (`networks.pooling`).
        size: Side of the crop.
        path: The file.
        metadata: Goes into `metadata_props`.
        batch: The only N the file takes; None is any.

    Raises:
        ValueError: The onnx package is not installed.
    """
    onnx = import_onnx()
    axes = {} if batch else {INPUT: {0: "batch"}, OUTPUT: {0: "batch"}}
    with _quietly():
        torch.onnx.export(
            network,
            (torch.zeros(batch or 1, 4, size, size),),
            str(path),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes=axes,
            opset_version=OPSET,
            **_without_torch_export(),
        )
    model = onnx.load(path)
    onnx.helper.set_model_props(model, {METADATA_KEY: metadata})
    onnx.save(model, path)


def _without_torch_export() -> dict[str, Any]:
    """Return the option that picks the exporter that traces, where there is a choice."""
    return {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep back that tracing is not PyTorch's newest way, and that sizes are fixed in the trace."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
