"""What weights there are: `python -m dextr weights`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from dextr.common.cli import columns
from dextr.weights import registry
from dextr.weights.registry import DATA


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python -m dextr weights`."""
    argparse.ArgumentParser(
        prog="dextr weights",
        description="List the weights that --weights takes by name: what is here, what can be "
        "downloaded, and what each is for.",
    ).parse_args(argv)
    trial = "random values: to try the software, masks mean nothing"
    ours = "the small network of this project, the default"
    rows = [
        ["name", "here", "size", "licence", "for"],
        _row(registry.BUNDLED, registry.bundled_path(), "-", "see models/README.md", ours),
        [registry.UNTRAINED, "yes", "-", "-", trial],
    ]
    weights = [entry for entry in registry.PUBLISHED.values() if entry.kind != DATA]
    for entry in weights:
        path = registry.local_path(entry)
        rows.append(_row(entry.name, path, entry.size, entry.licence, entry.purpose))
    print(columns(rows, left=5))
    print("\nSizes are as said by the publishers. Mean IoU on PASCAL VOC 2012 val, as said, in %:")
    for entry in weights:
        if entry.score:
            print(f"  {entry.name}: {entry.score}")
    print("\nGet one with: python -m dextr download NAME")
    return 0


def _row(name: str, path: Path, size: str, licence: str, purpose: str) -> list[str]:
    here = path.exists()
    size = f"{path.stat().st_size / 1e6:.0f} MB" if here else size
    return [name, "yes" if here else "no", size, licence, purpose]
