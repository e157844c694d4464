"""Where a run writes, and what it goes on from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from dextr.common.processes import World
from dextr.training.checkpoint import checkpoints, load_checkpoint, newest_checkpoint
from dextr.training.log import new_run_folder, run_folders

RUNS = Path("runs")


@dataclass
class RunPlace:
    """A run's folder and the checkpoint it goes on from.

    Attributes:
        folder: Where the run writes.
        checkpoint: What it goes on from; None: it begins.
        main: Whether this process is the one that writes.
    """

    folder: Path
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

    def check(self, options: Mapping[str, Any], free: set[str]) -> None:
        """Refuse options that would make the rest of the run another one's.

        Args:
            options: What the run would go on with.
            free: Names that may differ.

        Raises:
            ValueError: Something differs; names it with both values.
        """
        before = self.config or {}
        if before.get("schedule") == "constant":
            free = free | {"epochs"}
        differing = [
            f"--{name.replace('_', '-')} was {before[name]} and is {value}"
            for name, value in options.items()
            if name not in free and name in before and before[name] != value
        ]
        if differing:
            raise ValueError(
                f"{self.folder} cannot go on with other settings: {'; '.join(differing)}; leave "
                "them out, or start a new run in another --output-dir"
            )

    def discard_if_empty(self) -> None:
        """Remove the folder of a run that never began."""
        if self.main and self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def say(self, text: str) -> None:
        """Print a line, in the first process only."""
        if self.main:
            tqdm.write(text)


def find_place(resume: str | None, output_dir: str | None, name: str, world: World) -> RunPlace:
    """Return where a run writes and what it goes on from, the same in every process.

    Args:
        resume: None, `auto`, a run's folder or a checkpoint.
        output_dir: The run's folder; None: `runs/NAME-NUMBER`.
        name: NAME.
        world: The processes; the first one decides.

    Raises:
        ValueError: The folder holds a run already, or there is nothing to go on from.
    """
    decided = _decide(resume, output_dir, name) if world.main else None
    folder, path = world.from_main(decided) or (Path(), None)
    return RunPlace(folder, None if path is None else load_checkpoint(path), world.main)


def _decide(resume: str | None, output_dir: str | None, name: str) -> tuple[Path, Path | None]:
    if resume is None:
        return _new_folder(output_dir, name), None
    if resume == "auto":
        earlier = run_folders(RUNS, name)
        if output_dir is None and not earlier:
            return new_run_folder(RUNS, name), None
        folder = Path(output_dir) if output_dir is not None else earlier[0]
        return folder, _newest(folder)
    source = Path(resume)
    if source.is_dir():
        path, origin = _newest(source), source
    elif source.is_file():
        path, origin = source, source.parent.parent
    else:
        raise ValueError(f"--resume {resume}: no such run folder or checkpoint")
    if path is None:
        raise ValueError(f"--resume {resume}: no checkpoint there; start it anew without --resume")
    if output_dir is not None and Path(output_dir).resolve() != origin.resolve():
        return _new_folder(output_dir, name), path
    newest = checkpoints(origin / "checkpoints")
    if source.is_file() and newest and newest[0].resolve() != source.resolve():
        raise ValueError(
            f"{source} is not the newest checkpoint of its run ({newest[0].name} is): name a new "
            "--output-dir to go on from it"
        )
    return origin, path


def _new_folder(output_dir: str | None, name: str) -> Path:
    if output_dir is None:
        return new_run_folder(RUNS, name)
    folder = Path(output_dir)
    if (folder / "config.json").exists() or checkpoints(folder / "checkpoints"):
        raise ValueError(
            f"{folder} holds a run already: go on with it (--resume auto) or name another folder"
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _newest(folder: Path) -> Path | None:
    found = newest_checkpoint(folder / "checkpoints")
    return None if found is None else found[0]
