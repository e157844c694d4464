"""Opening a data set by name, for the command lines."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np

from dataloaders.coco import CocoInstances
from dataloaders.davis import DavisInstances
from dataloaders.folder import FolderInstances
from dataloaders.instances import Instances, Subset
from dataloaders.pascal import PascalInstances
from dataloaders.sbd import SbdInstances
from dataloaders.shapes import ShapesInstances

DATASETS = ("pascal", "sbd", "coco", "folder", "davis", "shapes")
SHAPES_COUNT = 200

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
) -> Instances:
    """Open a data set by its name.

    Args:
        name: One of `DATASETS`.
        root: Its folder; not for shapes.
        split: Which part; None is val (sbd: trainval; coco: `instances.json` if it is there, else
            val2017). Folders and shapes have no parts.
        annotations: For coco: the JSON file, where it is not at its place under `root`.
        categories: Names of the categories to keep; None keeps all.
        count: For shapes: number of objects.
        seed: For shapes: which ones.

    Raises:
        ValueError: An unknown name, an option the data set does not have, a layout other than
            expected, or no object at all.
    """
    _check_options(name, root, split, annotations, count)
    if name == "shapes":
        instances: Instances = ShapesInstances(SHAPES_COUNT if count is None else count, seed)
    elif name == "coco":
        instances = _open_coco(Path(root or ""), split, annotations, categories)
    elif name == "folder":
        instances = FolderInstances(root or "")
    elif name == "pascal":
        instances = PascalInstances(root or "", split or "val")
    elif name == "sbd":
        instances = SbdInstances(root or "", split or "trainval")
    else:
        instances = DavisInstances(root or "", split or "val")
    if categories is not None and name != "coco":
        instances = with_categories(instances, categories)
    if not len(instances):
        raise ValueError(f"{root}: {instances.name} holds no object")
    return instances


def with_categories(instances: Instances, categories: Sequence[str]) -> Subset:
    """Return the objects of these categories only; the categories keep their indices.

    Raises:
        ValueError: A category the data set does not have.
    """
    names = instances.category_names
    unknown = sorted(set(categories) - set(names))
    if unknown:
        there = ", ".join(names) or "none"
        raise ValueError(f"unknown category {unknown[0]!r} in {instances.name}; there are: {there}")
    wanted = [names.index(category) for category in categories]
    return Subset(instances, np.isin(instances.index.category, wanted))


def _check_options(
    name: str, root: Root | None, split: str | None, annotations: Root | None, count: int | None
) -> None:
    if name not in DATASETS:
        raise ValueError(f"unknown data set {name!r}; expected one of {', '.join(DATASETS)}")
    if root is None and name != "shapes":
        raise ValueError(f"{name} needs its folder: give --root")
    takes = {
        "root": (root, [n for n in DATASETS if n != "shapes"]),
        "split": (split, ["pascal", "sbd", "coco", "davis"]),
        "annotations": (annotations, ["coco"]),
        "count": (count, ["shapes"]),
    }
    for option, (value, names) in takes.items():
        if value is not None and name not in names:
            raise ValueError(f"{name} has no {option}; {option} is for {', '.join(names)}")


def _open_coco(
    root: Path, split: str | None, annotations: Root | None, categories: Sequence[str] | None
) -> CocoInstances:
    """Open COCO as published, or `instances.json` beside `images`, or a named JSON file."""
    published = root / "annotations" / f"instances_{split or 'val2017'}.json"
    single = root / "instances.json"
    if annotations is not None:
        file = Path(annotations)
    else:
        file = single if split is None and single.is_file() else published
        if not file.is_file():
            raise ValueError(
                f"{root}: no COCO instances; expected {published} (as published) or {single}, "
                "or name the file with --annotations. COCO is at cocodataset.org"
            )
    part = split or file.stem.removeprefix("instances_")
    folders = (root / part, root / "images", root)
    return CocoInstances(file, next((f for f in folders if f.is_dir()), root), categories)
