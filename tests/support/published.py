"""What a publisher's server might hold."""

import hashlib
import io
import os
import tarfile
from dataclasses import replace

import torch

from dextr.weights.registry import PUBLISHED

FILE = "dextr_pascal.pth"


def weights_bytes(value=0.0):
    file = io.BytesIO()
    torch.save({"layer5.stages.a": torch.full((50_000,), value)}, file)
    return file.getvalue()


def archive_bytes(folder, names):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name in names:
            content = os.urandom(20_000)
            info = tarfile.TarInfo(f"{folder}/{name}")
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return file.getvalue()


def sbd_like(content):
    """The entry of a data set whose published checksum is that of the content."""
    return replace(PUBLISHED["sbd"], checksum=f"md5:{hashlib.md5(content).hexdigest()}")


SBD_FILES = ("dataset/img/a.jpg", "dataset/inst/a.mat", "dataset/train.txt", "dataset/val.txt")


def names_in(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
