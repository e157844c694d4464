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
    print(columns([["name", "here", "size", "licence", "for"], *_rows()], left=5))
    print("\nSizes are as said by the publishers. Mean IoU on PASCAL VOC 2012 val, as said, in %:")
    for entry in registry.PUBLISHED.values():
        if entry.score:
            print(f"  {entry.name}: {entry.score}")
    print("\nGet one with: python -m dextr download NAME")
    return 0


def _rows() -> list[list[str]]:
    trial = "random values: to try the software, masks mean nothing"
    rows = [
        _row(registry.BUNDLED, registry.bundled_path(), "-", "see models/README.md",
             "the small network of this project, the default"),
        [registry.UNTRAINED, "yes", "-", "-", trial],
    ]  # fmt: skip
    for entry in registry.PUBLISHED.values():
        if entry.kind != DATA:
            path = registry.local_path(entry)
            rows.append(_row(entry.name, path, entry.size, entry.licence, entry.purpose))
    return rows


def _row(name: str, path: Path, size: str, licence: str, purpose: str) -> list[str]:
    if not path.exists():
        return [name, "no", size, licence, purpose]
    return [name, "yes", f"{path.stat().st_size / 1e6:.0f} MB", licence, purpose]
