"""A network in training, as the training benchmarks drive it, and what it is measured against."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.utils.flop_counter import FlopCounterMode

from dextr.batch import Batch
from dextr.common.processes import World
from dextr.training.checkpoint import TrainState
from dextr.training.config import OptimConfig
from dextr.training.optim import build_optimizer
from dextr.training.step import batch_loss, forward, train_step
from networks import DextrNet, NetworkConfig
from networks.dextr_net import init_random

REPEATS = 3


@dataclass(frozen=True)
class Setup:
    """One way to run the training loop.

    Attributes:
        name: In words.
        tf32: Convolutions of float32 numbers may round them to 10 bits (PyTorch's default).
        amp: As `OptimConfig` has it.
        channels_last: As `RunConfig` has it.
        compiled: As `RunConfig.compile` has it.
        lean: Fused optimiser, convolutions chosen by trial, pinned batches copied beside the work,
            and no waiting for the loss; else one update per weight, and the loss is read in every
            step.
    """

    name: str
    tf32: bool = False
    amp: str = "off"
    channels_last: bool = False
    compiled: bool = False
    lean: bool = False


PLAIN = Setup("plain loop, float32")
OURS = Setup("ours", True, "bf16", True, True, True)
STEPS_BETWEEN = (
    Setup("plain loop, TF32 convolutions", True),
    Setup("+ bf16", True, "bf16"),
    Setup("+ channels last", True, "bf16", True),
    Setup("+ compile", True, "bf16", True, True),
)


class Trainee:
    """A network with its optimiser, new.

    Args:
        setup: How it is trained.
        config: The network.
        device: Where.
        backend: Of torch.compile.
    """

    def __init__(
        self, setup: Setup, config: NetworkConfig, device: torch.device, backend: str
    ) -> None:
        torch.manual_seed(0)
        layout = torch.channels_last if setup.channels_last else torch.contiguous_format
        network = init_random(DextrNet(config)).to(device).to(memory_format=layout).train()
        self.setup, self.optim = setup, OptimConfig(amp=setup.amp)
        self.world = World(0, 1, device)
        optimizer = build_optimizer(network, self.optim)
        if not setup.lean:
            for group in optimizer.param_groups:
                group.update(fused=None, foreach=False)
        self.state = TrainState(network, optimizer, GradScaler(device.type, enabled=False))
        self.model: nn.Module = network
        if setup.compiled:
            self.model = torch.compile(network, dynamic=False, backend=backend)  # type: ignore[assignment]

    def activate(self) -> None:
        """Set PyTorch's global switches to what the setup says."""
        torch.backends.cudnn.allow_tf32 = self.setup.tf32
        torch.backends.cudnn.benchmark = self.setup.lean

    def step(self, batch: Batch) -> None:
        """Do one optimiser step."""
        loss = train_step(self.state, self.model, [batch], self.optim, self.world)
        if not self.setup.lean:
            loss.item()

    def step_in_parts(self, batch: Batch, mark: Callable[[], None]) -> None:
        """Do one optimiser step; marks the ends of forward, backward and update."""
        logits = forward(self.model, batch, self.optim, self.world)
        loss = batch_loss(logits, batch, self.optim, self.world)
        mark()
        loss.backward()
        mark()
        self.state.optimizer.step()
        self.state.optimizer.zero_grad(set_to_none=True)
        if not self.setup.lean:
            loss.item()
        mark()

    def rate(self, batches: Sequence[Batch], steps: int) -> float:
        """Return objects per second, the batches being on the device: the median of some runs."""
        device = self.world.device
        for k in range(3):
            self.step(batches[k % len(batches)])
        times = []
        for _ in range(REPEATS):
            wait_for(device)
            start = time.perf_counter()
            for k in range(steps):
                self.step(batches[k % len(batches)])
            wait_for(device)
            times.append(time.perf_counter() - start)
        return steps * len(batches[0]) / statistics.median(times)


def made_batches(
    count: int, batch_size: int, size: int, device: torch.device, channels_last: bool
) -> list[Batch]:
    """Return batches of noise with an object in the middle, on the device."""
    generator = torch.Generator().manual_seed(0)
    target = torch.zeros(batch_size, 1, size, size, dtype=torch.bool)
    target[:, :, size // 4 : -(size // 4), size // 4 : -(size // 4)] = True
    names = [f"made {k}" for k in range(batch_size)]
    return [
        Batch(
            255 * torch.rand(batch_size, 4, size, size, generator=generator),
            target,
            torch.zeros_like(target),
            names,
        ).to(device, channels_last)
        for _ in range(count)
    ]


def wait_for(device: torch.device) -> None:
    """Wait until a GPU has done all its work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def training_flops(config: NetworkConfig, size: int) -> int:
    """Return the floating-point operations of forward and backward pass for one object.

    A multiplication with its addition counts as two; only matrix products and convolutions do.
    """
    with torch.device("meta"):
        network = DextrNet(config).train()
        inputs = torch.empty(2, 4, size, size)
    with FlopCounterMode(display=False) as counter:
        network(inputs).sum().backward()
    return counter.get_total_flops() // 2


def matrix_peak(device: torch.device, side: int) -> float:
    """Return the rate of a large bf16 matrix product of random numbers, in FLOP per second."""
    generator = torch.Generator().manual_seed(0)
    a, b = (torch.randn(side, side, generator=generator).to(device, torch.bfloat16) for _ in "ab")
    times = []
    for repeat in range(13):
        wait_for(device)
        start = time.perf_counter()
        a @ b
        wait_for(device)
        if repeat > 2:
            times.append(time.perf_counter() - start)
    return 2 * side**3 / statistics.median(times)


class Clock:
    """Times on the device between marks, without making it wait.

    Args:
        device: A GPU or the CPU.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._marks: list[float | torch.cuda.Event] = []

    def mark(self) -> None:
        """Note the time when the device gets here."""
        if self.device.type != "cuda":
            self._marks.append(time.perf_counter())
            return
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        self._marks.append(event)

    def milliseconds(self) -> list[float]:
        """Return the times from mark to mark."""
        wait_for(self.device)
        pairs = zip(self._marks, self._marks[1:], strict=False)
        return [
            a.elapsed_time(b) if isinstance(a, torch.cuda.Event) else 1000 * (b - a)  # type: ignore[arg-type,operator]
            for a, b in pairs
        ]
