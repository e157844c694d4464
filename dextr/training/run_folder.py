"""A run's folder: where it writes, what it goes on from, what it was made with."""

from __future__ import annotations

import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import distributions
from io import FileIO
from pathlib import Path
from typing import Any

import torch

from dextr.common.errors import UserError
from dextr.common.processes import World
from dextr.training.checkpoint import checkpoints, load_checkpoint, newest_checkpoint
from dextr.training.locks import lock_folder, unlock_folder

RUNS = Path("runs")
Loaded = tuple[Path, dict[str, Any]]
PACKAGES = ("torch", "torchvision", "numpy", "opencv-python", "safetensors", "pycocotools")


@dataclass
class RunFolder:
    """Where a run writes, if this process is the `main` one, and what it goes on from, if any.

    Attributes:
        checkpoint: The content of `source`, the checkpoint it goes on from.
        lock: Keeps other runs out as long as it is open.
    """

    path: Path
    checkpoint: dict[str, Any] | None = field(default=None, repr=False)
    main: bool = True
    source: Path | None = None
    lock: FileIO | None = field(default=None, repr=False)

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

    def close(self) -> None:
        """Let other runs in; remove the folder of a run that never began."""
        if self.lock is not None:
            unlock_folder(self.path, self.lock)
            self.lock = None

    def unwritable(self, error: OSError) -> str:
        """Return in a line what an error of the disk means for the run."""
        reason = f"{self.path} cannot be written ({error.strerror or error})"
        kept = checkpoints(self.path / "checkpoints")
        if not kept:
            return f"{reason}; no checkpoint was written yet"
        return (
            f"{reason}; the last good checkpoint is {kept[0]}: mend that and --resume {self.path}"
        )


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
    opened = world.on_main(lambda: _open(resume, own, name))
    path, source = world.from_main(opened and (opened.path, opened.source)) or (Path(), None)
    if opened is not None:
        return opened
    return RunFolder(path, None if source is None else load_checkpoint(source), False, source)


def _open(resume: str | None, own: Path | None, name: str) -> RunFolder:
    if resume is None:
        return _locked(own or new_run_folder(RUNS, name), _refuse_begun)
    if resume == "auto":
        newest = next(iter(run_folders(RUNS, name)), None)
        return _locked(
            own or newest or new_run_folder(RUNS, name),
            lambda folder: newest_checkpoint(folder / "checkpoints"),
        )
    source = Path(resume)
    if not source.exists():
        raise UserError(f"--resume {source}: no such run folder or checkpoint")
    origin = source if source.is_dir() else source.parent.parent
    if source.is_dir() and not checkpoints(source / "checkpoints"):
        raise UserError(f"--resume {source}: no checkpoint there; start it anew without --resume")
    if own is not None and own.resolve() != origin.resolve():
        return _locked(own, lambda folder: _load_into_new(folder, source))
    if source.is_file() and source.parent.name != "checkpoints":
        raise UserError(f"{source} lies in no run's folder: name a new --output-dir to go on in")
    return _locked(origin, lambda folder: _load_newest(folder, source))


def _locked(path: Path, find: Callable[[Path], Loaded | None]) -> RunFolder:
    """Return the folder with what is gone on from; from before that on no other run changes it."""
    try:
        folder = RunFolder(path, lock=lock_folder(path))
    except OSError as error:
        raise UserError(RunFolder(path).unwritable(error)) from None
    try:
        if found := find(path):
            folder.source, folder.checkpoint = found
    except BaseException:
        folder.close()
        raise
    return folder


def _refuse_begun(folder: Path) -> None:
    if (folder / "config.json").exists() or checkpoints(folder / "checkpoints"):
        raise UserError(
            f"{folder} holds a run already: go on with it (--resume auto) or name another folder"
        )


def _load_into_new(folder: Path, source: Path) -> Loaded | None:
    _refuse_begun(folder)
    return _load(source)


def _load(source: Path) -> Loaded | None:
    if source.is_dir():
        return newest_checkpoint(source / "checkpoints")
    return source, load_checkpoint(source)


def _load_newest(folder: Path, source: Path) -> Loaded | None:
    newest = checkpoints(folder / "checkpoints")[:1]
    if source.is_file() and newest and newest[0].resolve() != source.resolve():
        raise UserError(
            f"{source} is not the newest checkpoint of its run ({newest[0].name} is): name a "
            "new --output-dir to go on from it"
        )
    return _load(source)


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
