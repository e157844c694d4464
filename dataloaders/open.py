"""Opening a data set by name, for the command lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from dataloaders.coco import CocoInstances
from dataloaders.davis import DavisInstances
from dataloaders.folder import FolderInstances
from dataloaders.instances import Instances, Subset, category_indices
from dataloaders.pascal import PascalInstances
from dataloaders.sbd import SbdInstances
from dataloaders.shapes import ShapesInstances
from dextr.common.errors import UserError

DATASETS = ("pascal", "sbd", "coco", "folder", "davis", "shapes")
# Which data sets have an option.
TAKES = {
    "root": ("pascal", "sbd", "coco", "folder", "davis"),
    "split": ("pascal", "sbd", "coco", "davis"),
    "annotations": ("coco",),
    "count": ("shapes",),
    "keep_crowd": ("coco",),
}

Root = str | PathLike[str]


def open_dataset(
    name: str,
    root: Root | None = None,
    split: str | None = None,
    *,
    annotations: Root | None = None,
    categories: Sequence[str] | None = None,
    count: int | None = None,
    seed: int = 0,
    keep_crowd: bool = False,
) -> Instances:
    """Open a data set by its name.

    Args:
        name: One of `DATASETS`.
        root: Its folder; not for shapes.
        split: Which part; None is val (sbd: trainval; coco: `instances.json` if it is there, else
            val2017). Folders and shapes have no parts.
        annotations: For coco: the JSON file, where it is not at its place under `root`.
        categories: Names of the categories to keep; None keeps all.
        count: For shapes: number of objects, 200 if None.
        seed: For shapes: which ones.
        keep_crowd: For coco: crowd regions are objects like others.

    Raises:
        ValueError: An unknown name, an option the data set does not have, a layout other than
            expected, or no object at all.
    """
    if name not in DATASETS:
        raise UserError(f"unknown data set {name!r}; expected one of {', '.join(DATASETS)}")
    if root is None and name in TAKES["root"]:
        raise UserError(f"{name} needs its folder: give --root")
    given: dict[str, object] = {
        "root": root,
        "split": split,
        "annotations": annotations,
        "count": count,
    }
    given["keep_crowd"] = keep_crowd or None
    for option, names in TAKES.items():
        if given[option] is not None and name not in names:
            raise UserError(f"{name} has no {option}; {option} is for {', '.join(names)}")
    folder: Root = root or ""
    openers: dict[str, Callable[[], Instances]] = {
        "pascal": lambda: PascalInstances(folder, split or "val"),
        "sbd": lambda: SbdInstances(folder, split or "trainval"),
        "coco": lambda: _open_coco(Path(folder), split, annotations, categories, keep_crowd),
        "folder": lambda: FolderInstances(folder),
        "davis": lambda: DavisInstances(folder, split or "val"),
        "shapes": lambda: ShapesInstances(200 if count is None else count, seed),
    }
    instances = openers[name]()
    if categories is not None and name != "coco":
        instances = with_categories(instances, categories)
    if not len(instances):
        raise UserError(f"{root}: {instances.name} holds no object")
    return instances


def with_categories(instances: Instances, categories: Sequence[str]) -> Subset:
    """Return the objects of these categories only; the categories keep their indices."""
    wanted = category_indices(instances.name, instances.category_names, categories)
    return Subset(instances, np.isin(instances.index.category, wanted))


def _open_coco(
    root: Path,
    split: str | None,
    annotations: Root | None,
    categories: Sequence[str] | None,
    keep_crowd: bool,
) -> CocoInstances:
    """Open COCO as published, or `instances.json` beside `images`, or a named JSON file."""
    published = root / "annotations" / f"instances_{split or 'val2017'}.json"
    single = root / "instances.json"
    file = Path(annotations or (single if split is None and single.is_file() else published))
    if annotations is None and not file.is_file():
        raise UserError(
            f"{root}: no COCO instances; expected {published} (as published) or {single}, "
            "or name the file with --annotations. COCO is at cocodataset.org"
        )
    part = split or file.stem.removeprefix("instances_")
    folders = (root / part, root / "images", root)
    images = next((f for f in folders if f.is_dir()), root)
    return CocoInstances(file, images, categories, keep_crowd)
