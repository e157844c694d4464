"""Where annotated objects come from."""

from dataloaders.coco import CocoInstances
from dataloaders.davis import DavisInstances
from dataloaders.folder import FolderInstances
from dataloaders.instances import CombinedInstances, Instances, ObjectIndex, Subset
from dataloaders.open import DATASETS, open_dataset
from dataloaders.pascal import PascalInstances
from dataloaders.sbd import SbdInstances
from dataloaders.shapes import ShapesInstances
from dextr.common.label_png import VOC_CATEGORIES

__all__ = [
    "DATASETS",
    "VOC_CATEGORIES",
    "CocoInstances",
    "CombinedInstances",
    "DavisInstances",
    "FolderInstances",
    "Instances",
    "ObjectIndex",
    "PascalInstances",
    "SbdInstances",
    "ShapesInstances",
    "Subset",
    "open_dataset",
]
