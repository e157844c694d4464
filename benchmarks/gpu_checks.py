"""What can only be tested on a CUDA GPU: it computes what the CPU does, in every way it is used.

Example:
  python -m benchmarks.gpu_checks
"""

from __future__ import annotations

import copy
import math
import tempfile
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.distributed as dist
from torch.amp.grad_scaler import GradScaler
from torch.multiprocessing.spawn import spawn
from torch.nn.parallel import DistributedDataParallel

from benchmarks.evaluation import half
from benchmarks.timing import CPU, SMALL, machine, markdown, parser
from dataloaders.crops.loader import BatchLoader
from dataloaders.crops.training_set import BatchPlan, TrainingSet
from dataloaders.crops.transforms import TrainTransform, TransformConfig
from dataloaders.shapes import ShapesInstances
from dextr import Predictor, load_predictor
from dextr.batch import Batch, on_device
from dextr.common import cli
from dextr.common.processes import World, pick_device
from dextr.evaluation.protocol import EvaluationSettings
from dextr.evaluation.scoring import evaluate
from dextr.metrics import iou
from dextr.points import sample_extreme_points
from dextr.training.checkpoint import TrainState
from dextr.training.config import OptimConfig
from dextr.training.optim import build_optimizer
from dextr.training.step import train_step
from networks import DextrNet, NetworkConfig
from networks.dextr_net import init_random
from networks.sync_norm import synchronize_batch_norm


class Check(NamedTuple):
    """What was found, and the most that is allowed."""

    name: str
    found: float
    allowed: float


def logits_check(config: NetworkConfig, size: int, device: torch.device) -> Check:
    """Compare logits in float32, without rounding to TF32."""
    torch.manual_seed(0)
    network = init_random(DextrNet(config)).eval()
    inputs = 255 * torch.rand(2, 4, size, size)
    with torch.inference_mode():
        expected = network(inputs)
        found = network.to(device)(inputs.to(device)).cpu()
    error = ((found - expected).norm() / (expected - expected.mean()).norm()).item()
    return Check("logits, float32: relative difference to the CPU's", error, 1e-3)


def mask_checks(device: torch.device) -> Iterator[Check]:
    """Compare the bundled network's masks of some objects, also in half precision."""
    on_cpu, there = load_predictor(device=CPU), load_predictor(device=device)
    network = there.network
    yield _mask_check("load_predictor", on_cpu, there, 0.002)
    for precision in (torch.bfloat16, torch.float16)[: 2 if device.type == "cuda" else 1]:
        there.network = half(network, precision)
        yield _mask_check(f"{precision}", on_cpu, there, 0.05)


def _mask_check(name: str, on_cpu: Predictor, there: Predictor, allowed: float) -> Check:
    ious = []
    for instance in ShapesInstances(6):
        points = sample_extreme_points(instance.mask, 0, np.random.default_rng(0))
        ious.append(iou(*(p.predict(instance.image, points).mask for p in (on_cpu, there))))
    return Check(f"{name}: 1 - smallest IoU to the CPU's mask", 1 - min(ious), allowed)


def evaluation_check(device: torch.device) -> Check:
    """Compare the scores of an evaluation with and without workers."""
    shapes = ShapesInstances(13)
    predictor = Predictor(load_predictor(device=device).network, device=device, batch_size=4)
    one, other = (
        evaluate(predictor, shapes, EvaluationSettings(), progress=False, workers=workers)
        for workers in (0, 3)
    )
    differ = sum(a != b for a, b in zip(one, other, strict=True))
    return Check("evaluation: scores that differ with 3 workers", differ, 0)


def copying_check(device: torch.device) -> Check:
    """Compare batches that came through page-locked memory with those that did not."""
    data = TrainingSet(ShapesInstances(12), TrainTransform(TransformConfig(size=64)), 0)
    plan = BatchPlan(12, 4, 0)
    pinned = BatchLoader(data, plan, 2, device.type == "cuda").batches(0)
    moved = on_device(pinned, device, channels_last=True)
    differ = 0
    for batch, expected in zip(moved, BatchLoader(data, plan, 0, False).batches(0), strict=True):
        differ += not torch.equal(batch.inputs.cpu(), expected.inputs)
        differ += not torch.equal(batch.targets.cpu(), expected.targets)
    return Check("copies beside the work: tensors that differ", differ, 0)


def step_check(device: torch.device) -> Check:
    """Compare one step of the optimiser, fused on a GPU, with the CPU's of one weight at a time."""
    values, optim = list[torch.Tensor](), OptimConfig()
    for place, layout in ((CPU, torch.contiguous_format), (device, torch.channels_last)):
        torch.manual_seed(0)
        network = init_random(DextrNet(SMALL)).to(place).to(memory_format=layout).train()
        optimizer = build_optimizer(network, optim)
        if not values:
            for group in optimizer.param_groups:
                group.update(fused=None, foreach=False)
        state = TrainState(network, optimizer, GradScaler(place.type, enabled=False))
        before = network.conv1.weight.detach().cpu().clone()
        train_step(state, network, [made_batch(place)], optim, World(0, 1, place))
        values.append(network.conv1.weight.detach().cpu() - before)
    error = ((values[1] - values[0]).norm() / values[0].norm()).item()
    return Check("a step, fused: relative difference to the plain one's", error, 0.01)


def made_batch(device: torch.device) -> Batch:
    """Return four objects of noise with a square in the middle, on the device."""
    inputs = 255 * torch.rand(4, 4, 64, 64, generator=torch.Generator().manual_seed(0))
    target = torch.zeros(4, 1, 64, 64, dtype=torch.bool)
    target[:, :, 16:-16, 16:-16] = True
    return Batch(inputs, target, torch.zeros_like(target), list("abcd")).to(device)


# Objects of a batch of four that each process gets.
SHARES = {"a group of one process": (4,), "two processes": (3, 1), "one without objects": (4, 0)}


def process_group_checks(device: torch.device) -> Iterator[Check]:
    """Compare a step's gradients in groups of processes with those of one process alone.

    Two processes have a GPU each where there are two (NCCL); else they share one device (gloo).
    """
    for name, shares in SHARES.items():
        gpus = torch.cuda.device_count() if device.type == "cuda" else 0
        backend = "nccl" if gpus >= len(shares) else "gloo"
        with tempfile.TemporaryDirectory() as folder:
            spawn(_member, (shares, device.type, backend, Path(folder)), nprocs=len(shares))
            errors = [float(file.read_text()) for file in Path(folder).glob("error-*")]
        title = f"{name}, {backend}: largest relative difference of a gradient"
        yield Check(title, max(errors) if len(errors) == len(shares) else math.inf, 0.01)


def _member(rank: int, shares: Sequence[int], kind: str, backend: str, folder: Path) -> None:
    own = rank if backend == "nccl" else 0
    device = torch.device(f"{kind}:{own}" if kind == "cuda" else kind)
    if kind == "cuda":
        torch.cuda.set_device(device)
    torch.backends.cudnn.allow_tf32 = False
    store = dist.FileStore(str(folder / "store"), len(shares))
    dist.init_process_group(backend, store=store, rank=rank, world_size=len(shares))
    torch.manual_seed(0)
    alone = init_random(DextrNet(SMALL)).to(device).train()
    together = copy.deepcopy(alone)
    synchronize_batch_norm(together)
    wrapped = DistributedDataParallel(together, device_ids=[device] if kind == "cuda" else None)
    inputs = made_batch(device).inputs
    before = sum(shares[:rank])
    alone(inputs).square().sum().backward()
    # DistributedDataParallel averages what adds up.
    loss = wrapped(inputs[before : before + shares[rank]]).square().sum() * len(shares)
    loss.backward()
    pairs = zip(alone.parameters(), together.parameters(), strict=True)
    gradients = [(a.grad, b.grad) for a, b in pairs if a.grad is not None and b.grad is not None]
    errors = [((a - b).norm() / a.norm()).item() for a, b in gradients]
    (folder / f"error-{rank}").write_text(str(max(errors)))
    dist.destroy_process_group()


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    args = parser(__doc__, "--device", "--small").parse_args(argv)
    device = pick_device(args.device or "cuda")
    if device.type == "cuda":
        torch.cuda.set_device(device)
    torch.backends.cudnn.allow_tf32 = False
    config, size = (SMALL, 64) if args.small else (NetworkConfig(), 512)
    single = (evaluation_check, copying_check, step_check)
    checks = chain(
        [logits_check(config, size, device)], mask_checks(device),
        (check(device) for check in single), process_group_checks(device),
    )  # fmt: skip
    print(f"{machine()}\n\n{markdown([('check', 'found', 'allowed', '')])}")
    good = []
    for check in checks:
        good.append(check.found <= check.allowed)
        said = "ok" if good[-1] else "FAILED"
        row = (check.name, f"{check.found:.2g}", f"{check.allowed:g}", said)
        print("| " + " | ".join(row) + " |", flush=True)
    return int(not all(good))


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
