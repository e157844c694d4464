"""Where networks run."""

from __future__ import annotations

import torch


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
