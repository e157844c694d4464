"""What weights there are: `python -m dextr weights`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from dextr.weights import registry
from dextr.weights.registry import DATA


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python -m dextr weights`."""
    argparse.ArgumentParser(
        prog="dextr weights",
        description="List the weights that --weights takes by name: what is here, what can be "
        "downloaded, and what each is for.",
    ).parse_args(argv)
    print(format_table(["name", "here", "size", "licence", "for"], _rows()))
    print("\nSizes are as said by the publishers. Mean IoU on PASCAL VOC 2012 val, as said, in %:")
    for entry in registry.PUBLISHED.values():
        if entry.score:
            print(f"  {entry.name}: {entry.score}")
    print("\nGet one with: python -m dextr download NAME")
    return 0


def _rows() -> list[list[str]]:
    bundled = registry.bundled_path()
    rows = [
        [
            registry.BUNDLED,
            *_here(bundled),
            "see models/README.md",
            "the small network of this project, the default",
        ],
        [
            registry.UNTRAINED,
            "yes",
            "-",
            "-",
            "random values: to try the software, masks mean nothing",
        ],
    ]
    for entry in registry.PUBLISHED.values():
        if entry.kind != DATA:
            here, size = _here(registry.local_path(entry))
            rows.append(
                [
                    entry.name,
                    here,
                    entry.size if here == "no" else size,
                    entry.licence,
                    entry.purpose,
                ]
            )
    return rows


def _here(path: Path) -> tuple[str, str]:
    if not path.exists():
        return "no", "-"
    return "yes", f"{path.stat().st_size / 1e6:.0f} MB"


def format_table(header: list[str], rows: list[list[str]]) -> str:
    """Return rows as aligned columns.

    >>> print(format_table(["a", "b"], [["1", "x"], ["234", "y"]]))
    a    b
    ---  -
    1    x
    234  y
    """
    widths = [max(map(len, column)) for column in zip(header, *rows, strict=True)]
    lines = [header, ["-" * w for w in widths], *rows]
    return "\n".join(
        "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
