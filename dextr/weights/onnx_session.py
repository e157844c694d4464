"""ONNX files in ONNX Runtime, which is imported only when it is needed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

INPUT, OUTPUT = "input", "logits"


def import_onnxruntime() -> Any:
    """Return the module.

    Raises:
        ValueError: It is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise ValueError(
            "ONNX files need ONNX Runtime: pip install onnxruntime (or 'dextr[onnx]')"
        ) from None
    return onnxruntime


def open_session(content: bytes) -> Any:
    """Return ONNX Runtime's session of a file's content, on the CPU.

    It is read from memory, so that it cannot have further files read.

    Raises:
        ValueError: No ONNX file, or ONNX Runtime is not installed.
    """
    runtime = import_onnxruntime()
    options = runtime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 4
    try:
        return runtime.InferenceSession(
            content, options, providers=["CPUExecutionProvider"], enable_fallback=False
        )
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise ValueError(f"damaged, or no ONNX file ({reason})") from None


def run_session(session: Any) -> Callable[[Tensor], Tensor]:
    """Return what runs a session: input (N, 4, S, S) to logits (N, 1, S, S)."""

    def run(x: Tensor) -> Tensor:
        (logits,) = session.run([OUTPUT], {INPUT: x.cpu().numpy()})
        return torch.from_numpy(logits)

    return run
