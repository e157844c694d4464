"""Opens an ONNX file, runs it once, and says what came of it: a program of its own.

It is started by `dextr.weights.exported`, which hands it the file on its input, with bounds of
time and memory on its command line, so that a graph without end, or one that fills the memory, ends
this process only. It imports nothing of ours: PyTorch alone would take seconds.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import numpy as np


def main() -> None:
    """Read the file from stdin and print a line of JSON."""
    limits = json.loads(sys.argv[1])
    try:
        said = trial(sys.stdin.buffer.read(), limits)
    except Exception as error:
        reason = str(error).strip() or type(error).__name__
        said = {"error": " ".join(reason.splitlines()[0].split())[:200]}
    print(json.dumps(said))


def trial(content: bytes, limits: dict[str, Any]) -> dict[str, Any]:
    """Return the file's inputs and outputs, and the shape of what it gives for one small batch.

    `limits` has bytes and seconds of CPU time to start with (`memory`, `seconds`), those for each
    pixel of the input (`memory_each`, `seconds_each`), the largest batch and side (`batch`,
    `size`) and the number of `threads`.
    """
    import onnxruntime

    _bound(limits, 0)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = limits["threads"]
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        content, options, providers=["CPUExecutionProvider"], enable_fallback=False
    )
    takes, gives = session.get_inputs(), session.get_outputs()
    said = {
        "inputs": [[v.name, v.type, v.shape] for v in takes],
        "outputs": [[v.name, v.type, v.shape] for v in gives],
        "metadata": session.get_modelmeta().custom_metadata_map,
    }
    shape = takes[0].shape if len(takes) == 1 and takes[0].type == "tensor(float)" else []
    if len(shape) == 4 and all(type(n) is int for n in shape[1:]):
        batch = shape[0] if type(shape[0]) is int else 1
        if (
            1 <= batch <= limits["batch"]
            and shape[1] in limits["channels"]
            and max(shape[2:]) <= limits["size"]
        ):
            _bound(limits, batch * shape[2] * shape[3])
            values = np.random.default_rng(0).random((batch, *shape[1:]), np.float32) * 255
            (logits,) = session.run([gives[0].name], {takes[0].name: values})
            logits = np.asarray(logits)
            said["ran"] = [batch, list(logits.shape), str(logits.dtype), _finite(logits)]
    return said


def _finite(logits: Any) -> bool:
    return logits.dtype.kind == "f" and bool(np.isfinite(logits).all())


def _bound(limits: dict[str, Any], pixels: int) -> None:
    if sys.platform == "win32":  # there the caller's clock is the only bound
        return
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for kind, name in ((resource.RLIMIT_AS, "memory"), (resource.RLIMIT_CPU, "seconds")):
        most = int(limits[name] + limits[f"{name}_each"] * pixels)
        hard = resource.getrlimit(kind)[1]
        soft = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(kind, (soft, hard))


if __name__ == "__main__":
    main()
