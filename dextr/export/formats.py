"""Writing a network as ONNX and as TorchScript.

Both are traced. PyTorch's newer exporters were tried and left: for ONNX the one on top of
torch.export takes ten times as long and needs one more package, for the same graph; and
`torch.export.load` unpickles what a file asks for.
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

from dextr.weights.exported import METADATA_KEY
from dextr.weights.onnx_session import INPUT, OUTPUT

OPSET = 18


def write_onnx(
    network: nn.Module, size: int, path: Path, metadata: str, batch: int | None = None
) -> None:
    """Write an ONNX file.

    Args:
        network: Takes (N, 4, size, size), pools by matrices (`dextr.export.pooling`).
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


def write_torchscript(network: nn.Module, size: int, path: Path, metadata: str) -> None:
    """Write a TorchScript file that takes any batch; see `write_onnx`."""
    with _quietly(), torch.no_grad():
        traced = torch.jit.trace(network, torch.zeros(1, 4, size, size), check_trace=False)
        # A frozen module is one function: nothing but operators and constants.
        torch.jit.save(torch.jit.freeze(traced), path, {METADATA_KEY: metadata})


def import_onnx() -> Any:
    """Return the module.

    Raises:
        ValueError: It is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise ValueError(
            "writing ONNX files needs two packages: pip install onnx onnxruntime (or 'dextr[onnx]')"
        ) from None
    return onnx


def _without_torch_export() -> dict[str, Any]:
    """Return the option that picks the exporter that traces, where there is a choice."""
    return {"dynamo": False} if "dynamo" in inspect.signature(torch.onnx.export).parameters else {}


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep back that tracing is not PyTorch's newest way, and that sizes are fixed in the trace."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
