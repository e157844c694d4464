"""Where a program runs: its device, and several processes as one, started by torchrun."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from dextr.common.errors import UserError

T = TypeVar("T")


@dataclass(frozen=True)
class World:
    """This process, number `rank` of `size`. With one process every method returns at once."""

    rank: int
    size: int
    device: torch.device

    @property
    def main(self) -> bool:
        """Whether this process is the one that writes."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Return the sum of a tensor over all processes."""
        if self.size == 1:
            return tensor
        total = tensor.detach().clone().to(self.device)
        dist.all_reduce(total)
        return total

    def on_main(self, work: Callable[[], T]) -> T | None:
        """Do some work in process 0, for which all wait; return what it returns, elsewhere None.

        Raises:
            ValueError: Of the work; in every process, so that none waits for one that ended.
            OSError: Of the work; in the others a ValueError that says the same.
        """
        if self.size == 1:
            return work()
        result = error = None
        if self.main:
            try:
                result = work()
            except (ValueError, OSError) as caught:
                error = caught
        said = self.from_main(error and str(error))
        if error:
            raise error
        if said is not None:
            raise UserError(said)
        return result

    def from_main(self, value: T) -> T:
        """Return process 0's value."""
        if self.size == 1:
            return value
        values = [value]
        dist.broadcast_object_list(values, src=0, device=self.device)
        return values[0]

    def gather(self, value: T) -> list[T]:
        """Return every process's value, by rank."""
        if self.size == 1:
            return [value]
        values: list[Any] = [None] * self.size
        dist.all_gather_object(values, value)
        return values


def pick_device(device: str | torch.device | None = None) -> torch.device:
    """Return the device asked for, or CUDA if there is one, or the CPU.

    Raises:
        ValueError: No such device on this machine.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except (RuntimeError, TypeError):
        chosen = torch.device("meta")
    untested: dict[str, Callable[[], bool]] = {
        "mps": torch.backends.mps.is_available,
        "xpu": torch.xpu.is_available,
    }
    if chosen.type not in ("cpu", "cuda", *untested):
        raise UserError(f"no device {str(device)!r}: expected 'cpu', 'cuda' or 'cuda:N'")
    count = torch.cuda.device_count()
    if chosen.type == "cuda" and (chosen.index or 0) >= count:
        raise UserError(f"no device {device!r}: this machine has {count} CUDA GPUs; use 'cpu'")
    if chosen.type in untested:
        if not untested[chosen.type]():
            raise UserError(
                f"no device {device!r} on this machine, or not in this PyTorch: use 'cpu'"
            )
        warnings.warn(
            f"nothing was ever tested on {chosen.type}, only on cpu and cuda: compare with 'cpu' "
            "before you rely on it",
            stacklevel=2,
        )
    return chosen


@contextmanager
def join(device: str | None = None) -> Iterator[World]:
    """Yield this process's place among those torchrun started; a single process needs no group.

    With several processes on CUDA, each takes its own GPU; else `device` is as in `pick_device`.

    Raises:
        ValueError: No such device.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    chosen = pick_device(device)
    if size > 1 and chosen.type == "cuda":
        chosen = pick_device(f"cuda:{os.environ['LOCAL_RANK']}")
    if chosen.type == "cuda" and chosen.index is not None:
        torch.cuda.set_device(chosen)
    if size == 1:
        yield World(0, 1, chosen)
        return
    store, rank, size = next(dist.rendezvous("env://"))
    # Torchrun's store outlives a restart, so each attempt has its own part of it: else a process
    # could find the address of one that was killed, and wait for it for ever.
    attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = dist.PrefixStore(f"attempt {attempt}", store)
    backend = "nccl" if chosen.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=store, rank=rank, world_size=size)
    try:
        yield World(rank, size, chosen)
    except RuntimeError as error:
        if isinstance(error, dist.DistError) or "gloo" in str(error):
            raise UserError("another process of this run ended: it says why") from error
        raise
    # Not after an error: it can wait for processes that wait for this one, and torchrun would
    # never learn that it failed.
    dist.destroy_process_group()


def leave_signals_to_parent() -> None:
    """Make a worker process end only when its parent asks it to.

    Ctrl-C and SIGTERM often go to a whole group of processes: the parent then still needs it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if not hasattr(signal, "sigwaitinfo"):  # macOS
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        return
    # A handler is not told who sent the signal.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    Thread(target=_end_when_parent_asks, daemon=True).start()


def _end_when_parent_asks() -> None:
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)
