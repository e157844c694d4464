"""Where annotated objects come from."""

from dataloaders.instances import Instances, ObjectIndex, Subset

__all__ = ["Instances", "ObjectIndex", "Subset"]
