"""The training and validation objects that a run's options name."""

from __future__ import annotations

import warnings
from dataclasses import fields
from os import PathLike
from pathlib import Path

import numpy as np

from dataloaders.combine import CombinedInstances
from dataloaders.instances import Instances, Subset
from dataloaders.open import open_dataset
from dataloaders.pascal import pascal_image_ids
from dextr.training.config import SourceConfig
from dextr.training.options import build, read_json


def open_sources(config: SourceConfig, seed: int) -> tuple[Instances, Instances | None]:
    """Return the training objects and the validation objects.

    PASCAL's val split validates where PASCAL is named, else the share that was kept out.

    Raises:
        ValueError: No source is named, or one holds nothing.
    """
    sources: list[Instances] = []
    validation: Instances | None = None
    held_out: list[str] = []
    if config.voc_root:
        sources.append(open_dataset("pascal", config.voc_root, config.voc_split))
        validation = open_dataset("pascal", config.voc_root, "val")
        held_out = pascal_image_ids(config.voc_root, "val")
    if config.sbd_root:
        if not config.voc_root:
            warnings.warn(
                "without --voc-root SBD's images of PASCAL VOC val are trained on as well: scores "
                "on VOC val would mean nothing",
                stacklevel=2,
            )
        sources.append(open_dataset("sbd", config.sbd_root))
    files = config.coco_annotations or (None,) * len(config.coco_root)
    for root, file in zip(config.coco_root, files, strict=True):
        sources.append(open_dataset("coco", root, annotations=file))
    sources += [open_dataset("folder", root) for root in config.folder]
    if config.davis_root:
        sources.append(open_dataset("davis", config.davis_root, "train"))
    if config.shapes:
        sources.append(open_dataset("shapes", count=config.shapes, seed=seed))
    training = _combine(sources, held_out)
    if config.val_fraction:
        training, kept_out = split_by_image(training, config.val_fraction, seed)
        validation = validation or kept_out
    if 0 < config.limit < len(training):
        drawn = np.random.default_rng(seed).permutation(len(training)) < config.limit
        training = Subset(training, drawn, f"{training.name}-part")
    return training, validation


def open_kept_out(run: str | PathLike[str]) -> Instances:
    """Return the objects that a training run validates on, from the run's folder.

    Raises:
        ValueError: It is no run's folder, or the run kept nothing out.
    """
    file = Path(run) / "config.json"
    if not file.is_file():
        raise ValueError(f"{run}: expected a run's folder with config.json")
    values = read_json(file)
    names = {spec.name for spec in fields(SourceConfig)}
    chosen = {name: value for name, value in values.items() if name in names}
    config = build({"sources": SourceConfig}, chosen, str(file))["sources"]
    validation = open_sources(config, int(values.get("seed", 0)))[1]
    if validation is None:
        raise ValueError(f"{run}: the run has no validation objects (--val-fraction keeps some)")
    return validation


def _combine(sources: list[Instances], held_out: list[str]) -> Instances:
    if not sources:
        raise ValueError("no training objects: name a source, such as --voc-root or --shapes")
    if len(sources) == 1 and not held_out:
        return sources[0]
    return CombinedInstances(sources, exclude=held_out)


def split_by_image(source: Instances, fraction: float, seed: int) -> tuple[Subset, Subset]:
    """Split a data set in two so that no image is in both.

    Args:
        source: The data set.
        fraction: Share of the images that goes to the second part; at least one image.
        seed: Seed of the draw.

    Returns:
        The parts: the rest, and the share.

    Raises:
        ValueError: One part would be empty.
    """
    images = np.unique(source.index.image)
    count = max(1, round(fraction * len(images)))
    if count >= len(images):
        raise ValueError(
            f"{source.name}: cannot keep {fraction:g} of {len(images)} images out of training"
        )
    drawn = np.random.default_rng(seed).permutation(images)[:count]
    kept_out = np.isin(source.index.image, drawn)
    return (
        Subset(source, ~kept_out, f"{source.name}-rest"),
        Subset(source, kept_out, f"{source.name}-kept-out"),
    )
