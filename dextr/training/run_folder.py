"""A run's folder: where it writes, what it goes on from, what it was made with."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from dextr.common.errors import UserError
from dextr.common.processes import World
from dextr.training.checkpoint import checkpoints, load_checkpoint, newest_checkpoint

RUNS = Path("runs")
Loaded = tuple[Path, dict[str, Any]]
PACKAGES = ("torch", "torchvision", "numpy", "opencv-python", "safetensors", "pycocotools")


@dataclass
class RunFolder:
    """Where a run writes, if this process is the `main` one, and what it goes on from, if any."""

    path: Path
    checkpoint: dict[str, Any] | None = field(default=None, repr=False)
    main: bool = True

    @property
    def config(self) -> dict[str, Any] | None:
        """The options the checkpoint was made with."""
        return None if self.checkpoint is None else self.checkpoint["config"]

    @property
    def log_length(self) -> int:
        """Bytes of the log that belong to the steps done."""
        return 0 if self.checkpoint is None else self.checkpoint["log_length"]

    def check(self, options: Mapping[str, Any], changeable: set[str]) -> None:
        """Refuse options that would make the rest of the run another one's.

        Raises:
            ValueError: Something that is not `changeable` differs; names it with both values.
        """
        before = self.config or {}
        if before.get("schedule") == "constant":
            changeable = changeable | {"epochs"}
        differing = [
            f"--{name.replace('_', '-')} was {before[name]} and is {value}"
            for name, value in options.items()
            if name not in changeable and name in before and before[name] != value
        ]
        if differing:
            raise UserError(
                f"{self.path} cannot go on with other settings: {'; '.join(differing)}; leave "
                "them out, or start a new run in another --output-dir"
            )

    def discard_if_empty(self) -> None:
        """Remove the folder of a run that never began."""
        if self.main and self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()

    def print_on_main(self, text: str) -> None:
        """Print a line, in the first process only."""
        if self.main:
            tqdm.write(text)


def resolve_run_folder(
    resume: str | None, output_dir: str | None, name: str, world: World
) -> RunFolder:
    """Return where a run writes and what it goes on from, the same in every process.

    | resume | goes on from | writes into |
    |---|---|---|
    | None | nothing | output_dir, which holds no run yet; else a new folder |
    | auto | its newest checkpoint, if any | output_dir; else the newest run's, or a new one |
    | a run's folder, a checkpoint | its newest, this one | output_dir; else that run's |

    New folders are `runs/name-NUMBER`. A run goes on in its own folder only from its newest
    checkpoint.

    Raises:
        ValueError: The folder holds a run already, or there is nothing to go on from.
    """
    own = None if output_dir is None else Path(output_dir)
    folder, found = _resolve(resume, own, name) if world.main else (Path(), None)
    folder, path = world.from_main((folder, found and found[0]))
    if path is None:
        return RunFolder(folder, None, world.main)
    return RunFolder(folder, found[1] if found else load_checkpoint(path), world.main)


def _resolve(resume: str | None, own: Path | None, name: str) -> tuple[Path, Loaded | None]:
    if resume is None:
        return _new_folder(own, name), None
    if resume == "auto":
        folder = own or next(iter(run_folders(RUNS, name)), None) or _new_folder(None, name)
        return folder, newest_checkpoint(folder / "checkpoints")
    source = Path(resume)
    if not source.exists():
        raise UserError(f"--resume {source}: no such run folder or checkpoint")
    if source.is_dir():
        origin, found = source, newest_checkpoint(source / "checkpoints")
    else:
        origin, found = source.parent.parent, (source, load_checkpoint(source))
    if found is None:
        raise UserError(f"--resume {source}: no checkpoint there; start it anew without --resume")
    if own is not None and own.resolve() != origin.resolve():
        return _new_folder(own, name), found
    newest = checkpoints(origin / "checkpoints")[:1]
    if source.is_file() and newest and newest[0].resolve() != source.resolve():
        raise UserError(
            f"{source} is not the newest checkpoint of its run ({newest[0].name} is): name a "
            "new --output-dir to go on from it"
        )
    return origin, found


def _new_folder(own: Path | None, name: str) -> Path:
    if own is None:
        return new_run_folder(RUNS, name)
    if (own / "config.json").exists() or checkpoints(own / "checkpoints"):
        raise UserError(
            f"{own} holds a run already: go on with it (--resume auto) or name another folder"
        )
    own.mkdir(parents=True, exist_ok=True)
    return own


def run_folders(base: Path, name: str) -> list[Path]:
    """Return the folders `name-NUMBER` of earlier runs, the highest number first."""
    found = [p for p in base.glob(f"{name}-*") if p.name[len(name) + 1 :].isdigit()]
    return sorted(found, key=_number, reverse=True)


def new_run_folder(base: Path, name: str) -> Path:
    """Make and return the folder with the next number; two runs never get the same one."""
    while True:
        number = 1 + max(map(_number, run_folders(base, name)), default=0)
        folder = base / f"{name}-{number}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        return folder


def _number(folder: Path) -> int:
    return int(folder.name.rsplit("-", 1)[1])


def environment() -> dict[str, Any]:
    """Return what is needed to repeat a run: command, commit, versions, hardware."""
    return {
        "command": shlex.join([Path(sys.executable).name, *sys.argv]),
        "started": time.strftime("%Y-%m-%d %H:%M:%S %z"),
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain")),
        "python": platform.python_version(),
        "packages": {d.name: d.version for d in distributions() if d.name in PACKAGES},
        "platform": platform.platform(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "gpus": [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())],
        "cuda": torch.version.cuda,
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
    }


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None
