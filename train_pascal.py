"""Train DEXTR. The defaults are the paper's protocol on PASCAL VOC 2012.

Examples:
  python train_pascal.py --voc-root VOCdevkit
  python train_pascal.py --voc-root VOCdevkit --sbd-root benchmark_RELEASE
  python train_pascal.py --config models/dextr_small.json --init bundled --folder photos
  python train_pascal.py --resume auto
  torchrun --nproc-per-node 4 train_pascal.py --voc-root VOCdevkit --batch-size 20
Without a source of data, a small demonstration on synthetic shapes runs anywhere.
"""

from __future__ import annotations

import os
import signal

if __name__ == "__main__":
    # Before PyTorch is loaded: threads that spin while they wait cost much on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Until training listens, Ctrl-C ends the program without a traceback.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    # Before Matplotlib is: a notebook's backend, inherited, may not be installed here.
    os.environ.pop("MPLBACKEND", None)

import argparse
import errno
import sys
from collections.abc import Callable, Sequence
from contextlib import closing
from typing import Any

import torch
from torch.amp.grad_scaler import GradScaler

from dataloaders.crops.fingerprint import changes, fingerprint
from dataloaders.crops.loader import BatchLoader, workers_watched
from dataloaders.crops.sources import SourceConfig, open_sources
from dataloaders.crops.training_set import BatchPlan, TrainingSet
from dataloaders.crops.transforms import TrainTransform, TransformConfig
from dataloaders.instances import Instances
from dextr.common import cli
from dextr.common.errors import UserError
from dextr.common.files import check_target, write_json
from dextr.common.processes import World, join
from dextr.training.checkpoint import TrainState
from dextr.training.config import DEMONSTRATION, ModelConfig, OptimConfig, RunConfig
from dextr.training.hard_objects import HardExamples
from dextr.training.interrupt import Stopped, StopRequest
from dextr.training.log import RunLog
from dextr.training.optim import MovingAverage, build_optimizer
from dextr.training.options import add_options, build, check, flatten, marked, public, read_options
from dextr.training.run_folder import RunFolder, environment, resolve_run_folder
from dextr.training.trainer import Trainer
from dextr.weights import initialize
from networks import DextrNet
from networks.dextr_net import init_random

GROUPS = {
    "sources": SourceConfig,
    "network": ModelConfig,
    "augmentation": TransformConfig,
    "optimisation": OptimConfig,
    "run": RunConfig,
}

DISK_FULL = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def parse(argv: Sequence[str] | None) -> dict[str, Any]:
    """Return the options given on the command line, and only those."""
    parser = argparse.ArgumentParser(
        usage="%(prog)s [options]", description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )  # fmt: skip
    parser.add_argument(
        "--config", metavar="FILE", type=cli.text,
        help="JSON file of options; flags win over it",
    )  # fmt: skip
    parser.add_argument(
        "--resume",
        metavar="PATH|auto",
        type=cli.text,
        help="go on with this checkpoint or run folder; auto: with the newest checkpoint of "
        "--output-dir (or of the newest run), or from the start if there is none",
    )
    parser.add_argument(
        "--accept-changed-data",
        action="store_true",
        help="go on with --resume although photos or objects changed since the checkpoint",
    )
    add_options(parser, GROUPS)
    return vars(parser.parse_args(argv))


def given_options(flags: dict[str, Any]) -> dict[str, Any]:
    """Return the flags over what the file of --config says.

    Raises:
        ValueError: One is unknown, of another type or out of range.
    """
    file = flags.pop("config", None)
    said = check(GROUPS, read_options(file), file) if file else {}
    return said | check(GROUPS, flags)


def choose_options(
    given: dict[str, Any], folder: RunFolder, say: Callable[[str], None]
) -> dict[str, Any]:
    """Return every group of options: those given, over a resumed run's, over defaults.

    Raises:
        ValueError: They have no meaning together, or would change a resumed run.
    """
    if folder.config is not None:
        chosen = build(GROUPS, {**folder.config, **given}, str(folder.path))
        folder.check(flatten(chosen), marked(GROUPS, "may_change_on_resume"))
        return chosen
    chosen = build(GROUPS, given)
    if not chosen["sources"].empty:
        return chosen
    changed = {name: value for name, value in DEMONSTRATION.items() if name not in given}
    say(
        "no data given: a small demonstration on synthetic shapes runs instead of the paper's "
        f"protocol ({', '.join(f'{k} {v}' for k, v in changed.items())})"
    )
    return build(GROUPS, {**changed, **given})


def new_state(
    options: dict[str, Any], objects: int, world: World, fresh: bool
) -> tuple[TrainState, str]:
    """Return the network and what trains it on so many objects, and what was loaded into it."""
    model, optim, run = options["network"], options["optimisation"], options["run"]
    if optim.amp == "fp16" and world.device.type != "cuda":
        raise UserError("--amp fp16 needs a GPU; use bf16 or off on the CPU")
    torch.manual_seed(run.seed)
    network = init_random(DextrNet(model.network()))
    report = initialize(network, model.init) if fresh else ""
    layout = torch.channels_last if run.channels_last else torch.contiguous_format
    network = network.to(world.device).to(memory_format=layout)
    network.freeze_statistics(model.batch_norm == "frozen")
    average = MovingAverage(network, optim.ema) if optim.ema else None
    scaler = GradScaler(world.device.type, enabled=optim.amp == "fp16")
    hard = HardExamples(objects) if optim.hard_examples > 1 else None
    return TrainState(network, build_optimizer(network, optim), scaler, average, hard), report


def look_at_data(
    training: Instances,
    validation: Instances | None,
    folder: RunFolder,
    accept: bool,
    say: Callable[[str], None],
) -> tuple[dict[str, dict[str, int]], bool]:
    """Return what tells the run's data from others, and whether a checkpoint's were others.

    Raises:
        ValueError: They are not `accept`ed, and not those that the checkpoint was made with.
    """
    found = {"training": fingerprint(training)}
    if validation is not None:
        found["validation"] = fingerprint(validation)
    before = (folder.checkpoint or {}).get("data") or {}
    different = {
        name: changes(seen, found.get(name, {}))
        for name, seen in before.items()
        if isinstance(seen, dict)
    }
    said = "; ".join(f"of the {name} images, {text}" for name, text in different.items() if text)
    if said and not accept:
        raise UserError(
            f"the data are not those that {folder.source} was made with: {said}; put them back, or "
            "go on all the same with --accept-changed-data"
        )
    if said:
        say(f"data changed: {said}")
    return found, bool(said)


def train(
    options: dict[str, Any], folder: RunFolder, world: World, stop: StopRequest, accept: bool
) -> None:
    """Train as the options say and leave everything in the run's folder.

    `accept` goes on although the data are not those of the checkpoint.
    """
    run, transform = options["run"], options["augmentation"]
    say = stop.say
    training, validation = open_sources(options["sources"], run.seed)
    looked_at = world.on_main(lambda: look_at_data(training, validation, folder, accept, say))
    data, data_changed = world.from_main(looked_at) or ({}, False)
    state, report = new_state(options, len(training), world, fresh=folder.checkpoint is None)
    if folder.checkpoint is not None:
        state.restore(folder.checkpoint, data_changed)
        report = f"as saved after step {state.step}"
    values = flatten(options)
    if world.main:
        write_json(folder.path / "config.json", values, indent=2)
        write_json(folder.path / "environment.json", environment(), indent=2)
    say(f"{folder.path}: {len(training)} objects of {training.name}; weights: {report}")
    if validation is None:
        say("no evaluation: there are no validation objects (--val-fraction keeps some)")
    log = RunLog(folder.path if world.main else None, folder.log_length, state.step)
    training_set = TrainingSet(training, TrainTransform(transform), run.seed)
    optim = options["optimisation"]
    plan = BatchPlan(
        len(training), optim.batch_size, run.seed, world.rank, world.size, optim.hard_examples
    )
    loader = BatchLoader(training_set, plan, run.workers, world.device.type == "cuda")
    about = {"config": values, "public": public(options), "data": data}
    about |= {"size": transform.size, "relax": transform.margin}
    trainer = Trainer(state, loader, validation, optim, run, about, folder.path, log, world, stop)
    with closing(log), workers_watched():
        trainer.fit()
        trainer.finish()
    say(f"weights: {folder.path / 'weights.safetensors'}")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    flags = parse(argv)
    resume, accept = flags.pop("resume", None), flags.pop("accept_changed_data")
    given = given_options(flags)
    if "output_dir" in given:
        check_target(given["output_dir"], folder=True)
    if resume is None:
        build(GROUPS, given)
    with join(given.get("device")) as world, StopRequest(world.main) as stop:
        folder = resolve_run_folder(
            resume, given.get("output_dir"), given.get("name", RunConfig.name), world
        )
        with closing(folder):
            try:
                train(choose_options(given, folder, stop.say), folder, world, stop, accept)
            except OSError as error:
                if error.errno not in DISK_FULL:
                    raise
                raise UserError(folder.unwritable(error)) from None
            except (Stopped, KeyboardInterrupt) as end:
                command = f"python {sys.argv[0]} --resume {folder.path}"
                stop.say(f"stopped; go on with: {command}")
                if isinstance(end, Stopped):
                    return 130
                raise SystemExit(130) from None
    return 0


if __name__ == "__main__":
    raise SystemExit(cli.run(main))
