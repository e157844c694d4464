"""The training and validation objects that a run's options name."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np

from dataloaders.instances import CombinedInstances, Instances, Subset
from dataloaders.open import open_dataset
from dextr.common.errors import UserError
from dextr.common.options import Checked, option, real, whole

# What lies on this machine stays on it: weights do not carry these options.
_source = partial(option, private=True)


@dataclass(frozen=True)
class SourceConfig(Checked):
    """Where training and validation objects come from."""

    voc_root: str | None = _source(
        None, "VOCdevkit folder of PASCAL VOC 2012; its val split becomes the evaluation set"
    )
    voc_split: str = _source("train", "split of PASCAL to train on")
    sbd_root: str | None = _source(
        None,
        "SBD's benchmark_RELEASE folder; adds its objects, without those of VOC val's images if "
        "--voc-root is given",
    )
    coco_root: tuple[str, ...] = _source((), "COCO folder; may be repeated", metavar="DIR")
    coco_annotations: tuple[str, ...] = _source(
        (),
        "annotation file of each --coco-root, where it is not at its published place",
        metavar="FILE",
    )
    coco_keep_crowd: bool = _source(False, "crowd regions (iscrowd 1) of COCO are objects too")
    folder: tuple[str, ...] = _source(
        (), "folder with images/ and masks/; may be repeated", metavar="DIR"
    )
    davis_root: str | None = _source(None, "DAVIS 2016 folder; adds its train split")
    shapes: int = _source(
        0, "add this many synthetic objects, made on the fly", whole(0, 10_000_000)
    )
    val_fraction: float = _source(
        0.0,
        "share of the training objects, whole images, kept out of training; the evaluation set "
        "where there is no other",
        real(0, 1, below=True),
    )
    limit: int = _source(
        0, "train on only this many objects, drawn at random, for a trial; 0: all", whole(0)
    )

    @property
    def empty(self) -> bool:
        """Whether no source of training objects is named."""
        return not any((self.voc_root, self.sbd_root, self.coco_root, self.coco_annotations,
                        self.folder, self.davis_root, self.shapes))  # fmt: skip

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.coco_annotations and len(self.coco_root) != len(self.coco_annotations):
            raise UserError(
                "give one --coco-annotations for every --coco-root, got "
                f"{len(self.coco_annotations)} and {len(self.coco_root)}"
            )


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
        held_out = validation.index.image_ids.tolist()
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
        sources.append(
            open_dataset("coco", root, annotations=file, keep_crowd=config.coco_keep_crowd)
        )
    sources += [open_dataset("folder", root) for root in config.folder]
    if config.davis_root:
        sources.append(open_dataset("davis", config.davis_root, "train"))
    if config.shapes:
        sources.append(open_dataset("shapes", count=config.shapes, seed=seed))
    if not sources:
        raise UserError("no training objects: name a source, such as --voc-root or --shapes")
    one = len(sources) == 1 and not held_out
    training = sources[0] if one else CombinedInstances(sources, exclude=held_out)
    if config.val_fraction:
        training, kept_out = split_by_image(training, config.val_fraction, seed)
        validation = validation or kept_out
    if 0 < config.limit < len(training):
        drawn = np.random.default_rng(seed).permutation(len(training)) < config.limit
        training = Subset(training, drawn, f"{training.name}-part")
    return training, validation


def split_by_image(source: Instances, fraction: float, seed: int) -> tuple[Subset, Subset]:
    """Return two parts, no image in both: the rest, and a share of the images, at least one.

    Raises:
        ValueError: The share is all of them.
    """
    images = np.unique(source.index.image)
    count = max(1, round(fraction * len(images)))
    if count >= len(images):
        raise UserError(
            f"{source.name}: cannot keep {fraction:g} of {len(images)} images out of training"
        )
    drawn = np.random.default_rng(seed).permutation(images)[:count]
    kept_out = np.isin(source.index.image, drawn)
    rest = Subset(source, ~kept_out, f"{source.name}-rest")
    return rest, Subset(source, kept_out, f"{source.name}-kept-out")
