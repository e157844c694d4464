"""Getting what the registry lists: `python -m dextr download NAME`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from dextr.common.cli import output_folder, text
from dextr.common.files import cache_dir, file_sha256
from dextr.weights.download import obtain, obtain_data, seen_path
from dextr.weights.registry import DATA, PUBLISHED, lookup


def main(argv: Sequence[str] | None = None) -> int:
    """Run `python -m dextr download`."""
    names = "\n".join(f"  {e.name:<11} {e.purpose}, {e.size}" for e in PUBLISHED.values())
    parser = argparse.ArgumentParser(
        prog="dextr download",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Download published weights and data sets: continued where it broke off, "
        "checked, unpacked.",
        epilog=f"""names:
{names}

Sizes are as their publishers say. Checksums are published for voc2012 and sbd only; of the rest
the first one seen is kept in {seen_path()} and held from then on.
A file that cannot be downloaded may be put in its place by hand: run this command to check it.

example:
  python -m dextr download voc2012 sbd --root data""",
    )
    add, cache = parser.add_argument, cache_dir() / "weights"
    where = f"where to put it (default: ./data for data sets, {cache} for weights)"
    add("names", nargs="+", metavar="NAME", type=text, help="what to get, see below")
    add("--root", type=output_folder, metavar="DIR", help=where)
    add(
        "--mirror",
        metavar="URL",
        type=text,
        help="a folder on another server that holds the files under "
        "their published names (default: $DEXTR_MIRROR, or the publisher)",
    )
    args = parser.parse_args(argv)

    for entry in [lookup(name) for name in args.names]:
        if entry.kind == DATA:
            folder = obtain_data(entry, args.root, args.mirror)
            root = args.root or entry.default_root()
            print(f"{entry.name}: complete in {folder}; use it with {entry.option}{root}")
        else:
            path = obtain(entry, args.root, args.mirror)
            print(f"{entry.name}: complete in {path}, sha256:{file_sha256(path)}")
            print(f"  use it with {entry.option}{path}")
    return 0
