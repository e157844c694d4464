"""What runs ONNX files: ONNX Runtime, and OpenVINO where it is installed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import torch
from torch import Tensor

INPUT, OUTPUT = "input", "logits"
Run: TypeAlias = Callable[[Tensor], Tensor]


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


def run_with_onnxruntime(session: Any) -> Run:
    """Return what runs a session."""

    def run(x: Tensor) -> Tensor:
        (logits,) = session.run([OUTPUT], {INPUT: x.cpu().numpy()})
        return torch.from_numpy(logits)

    return run


def run_with_openvino(content: bytes) -> Run | None:
    """Return what runs a file's content in OpenVINO, on the CPU; None if that is not installed."""
    try:
        import openvino
    except ImportError:
        return None
    core = openvino.Core()
    settings = {
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "PERFORMANCE_HINT": "LATENCY",
        # Threads tied to cores wait for whatever else runs there.
        "ENABLE_CPU_PINNING": False,
        # Otherwise it computes in half precision where the CPU can.
        "INFERENCE_PRECISION_HINT": "f32",
    }
    compiled = core.compile_model(core.read_model(content), "CPU", settings)

    def run(x: Tensor) -> Tensor:
        # A request of its own: several threads may predict at once.
        results = compiled.create_infer_request().infer({INPUT: x.cpu().numpy()})
        return torch.from_numpy(results[OUTPUT].copy())

    return run
