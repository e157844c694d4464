"""The `dextr` command: `python -m dextr COMMAND`, or `dextr COMMAND` once installed."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from dextr.common.cli import restart_with_sleeping_threads, run
from dextr.common.errors import UserError

# Command: the module whose main(argv) runs it, and a line of help.
COMMANDS = {
    "annotate": ("dextr.commands.annotate", "cut out every object whose points are in a file"),
    "download": ("dextr.commands.download", "get published weights and data sets"),
    "export": ("dextr.commands.export", "write a network for ONNX Runtime or OpenVINO"),
    "pack": ("dextr.commands.pack", "make a trained network ready to be passed on"),
    "weights": ("dextr.commands.list_weights", "list the weights there are and what each is for"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; what a user did wrong is said on one line, with exit code 2."""
    if argv is None and sys.argv[1:2] in (["annotate"], ["export"]):
        restart_with_sleeping_threads()
    return run(_main, argv)


def _main(argv: Sequence[str] | None) -> int:
    args = sys.argv[1:] if argv is None else list(argv)
    if not args or args[0] in ("-h", "--help"):
        print("usage: dextr COMMAND ...   (dextr COMMAND --help explains one)\n\ncommands:")
        print("\n".join(f"  {name:<10} {text}" for name, (_, text) in COMMANDS.items()))
        return 0 if args else 2
    if args[0] not in COMMANDS:
        raise UserError(f"no command {args[0]!r}: expected one of {', '.join(COMMANDS)}")
    module, _ = COMMANDS[args[0]]
    return importlib.import_module(module).main(args[1:])


if __name__ == "__main__":
    raise SystemExit(main())
