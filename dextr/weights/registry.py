"""What can be had by name: where it is published, how it is checked, where it lies here."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import dextr
from dextr.common.errors import UserError
from dextr.common.files import cache_dir

NETWORK, INITIAL, DATA = "network", "initial weights", "data set"
BUNDLED, UNTRAINED = "bundled", "untrained"
BUNDLED_FILE = "dextr_small.safetensors"
BUNDLED_CHECKSUM: str | None = (
    "sha256:cb3068d04d570d59ccb6a43fb60ffb648e49e729b35e096406938fe4ac294cd2"
)

_ETHZ = "https://data.vision.ee.ethz.ch"
_MODELS = f"{_ETHZ}/kmaninis/share/DEXTR/Downloads/models"


@dataclass(frozen=True)
class Published:
    """A file somebody else publishes. Sizes and scores are as said by others, not verified here.

    Attributes:
        name: What the command line calls it.
        kind: `NETWORK`, `INITIAL` or `DATA`.
        purpose: What it is for, in one line.
        url: Where it is published, with `size` and `licence` as said there.
        score: What it is said to reach on PASCAL VOC 2012 val, with what is known against that.
        checksum: Such as "md5:0123..."; empty where none is known.
        option: The option of the scripts that takes it.
        folder: What an archive holds and where it ends up, below the root.
        holds: Entries of that folder without which it is not whole.
        most: Bytes beyond which it is surely another file.
    """

    name: str
    kind: str
    purpose: str
    url: str
    size: str = "not known"
    licence: str = "not stated"
    score: str = ""
    checksum: str = ""
    option: str = "--weights "
    folder: str = ""
    holds: tuple[str, ...] = ()
    most: int = 400_000_000

    @property
    def file(self) -> str:
        """The published file's name."""
        return self.url.rsplit("/", 1)[1]

    def default_root(self) -> Path:
        """Return the folder it goes to unless told otherwise."""
        return Path("data") if self.kind == DATA else cache_dir() / "weights"

    def address(self, mirror: str | None = None) -> str:
        """Return the url, or the file's place under a mirror (default `$DEXTR_MIRROR`)."""
        mirror = mirror or os.environ.get("DEXTR_MIRROR")
        return f"{mirror.rstrip('/')}/{self.file}" if mirror else self.url


def _network(name: str, data: str, score: str) -> Published:
    purpose, url = f"the paper's network, trained on {data}", f"{_MODELS}/dextr_{name}.pth"
    return Published(name, NETWORK, purpose, url, "about 190 MB", "MIT", score)


PUBLISHED = {
    entry.name: entry
    for entry in (
        _network(
            "pascal-sbd",
            "PASCAL + SBD: the one to take",
            "91.5 (a user measured 90.x at other thresholds)",
        ),
        _network("pascal", "PASCAL alone", "90.5"),
        _network("coco", "COCO", "87.8 (a user measured 90.9 at threshold 0.8)"),
        Published(
            "deeplab",
            INITIAL,
            "DeepLab-v2 weights the paper's training starts from (--init deeplab)",
            f"{_ETHZ}/csergi/share/DEXTR/MS_DeepLab_resnet_trained_VOC.pth",
            option="--init deeplab:",
            most=1_000_000_000,
        ),
        Published(
            "voc2012",
            DATA,
            "PASCAL VOC 2012 trainval, for training and evaluation",
            "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
            size="about 2 GB",
            checksum="md5:6cd6e144f989b92b3379bac3b3de84fd",
            option="--voc-root ",
            folder="VOCdevkit/VOC2012",
            holds=("JPEGImages", "SegmentationObject", "ImageSets/Segmentation/val.txt"),
            most=3_000_000_000,
        ),
        Published(
            "sbd",
            DATA,
            "Semantic Boundaries Dataset, more training objects on VOC photos",
            "http://www.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/"
            "semantic_contours/benchmark.tgz",
            size="about 1.4 GB",
            checksum="md5:82b4d87ceb2ed10f6038a1cba92111cb",
            option="--sbd-root ",
            folder="benchmark_RELEASE",
            holds=("dataset/img", "dataset/inst", "dataset/train.txt", "dataset/val.txt"),
            most=2_500_000_000,
        ),
    )
}


def bundled_path() -> Path:
    """Return where the network that comes with the project lies, there or not.

    In a source checkout that is `models/` beside this package, in an installed one inside it.
    """
    assert dextr.__file__ is not None
    package = Path(dextr.__file__).resolve().parent
    inside = package / "models" / BUNDLED_FILE
    return inside if inside.exists() else package.parent / "models" / BUNDLED_FILE


def local_path(entry: Published) -> Path:
    """Return where a published file lies, or would be put: weights also lie in `models/`."""
    by_hand = bundled_path().parent / entry.file
    return by_hand if by_hand.exists() else entry.default_root() / entry.file


def lookup(name: str) -> Published:
    """Return a published file by name.

    Raises:
        ValueError: No such name.
    """
    if name not in PUBLISHED:
        raise UserError(f"nothing is called {name!r}: expected one of {', '.join(PUBLISHED)}")
    return PUBLISHED[name]
