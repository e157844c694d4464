"""A user's mistake is one line; an error of ours shows where it happened."""

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

from dextr.common import cli
from dextr.common.errors import UserError

ROOT = Path(__file__).parents[3]


def failing(error):
    def main(argv):
        raise error

    return main


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (UserError("give --root"), 2, "error: give --root\n"),
        (
            FileNotFoundError(2, "No such file", "a.png"),
            2,
            "error: [Errno 2] No such file: 'a.png'\n",
        ),
        (MemoryError(), 2, "error: not enough memory\n"),
        (
            torch.cuda.OutOfMemoryError("CUDA out of memory.\nMore"),
            2,
            "error: CUDA out of memory.\n",
        ),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_what_a_user_can_mend_is_one_line(error, code, said, capsys):
    assert cli.run(failing(error), []) == code
    assert capsys.readouterr().err == said


@pytest.mark.parametrize(
    "bug",
    [
        lambda _: np.zeros(3).reshape(2, 2),
        lambda _: int("x"),
        lambda _: {}["a"],
        failing(RuntimeError("shapes")),
    ],
)
def test_an_error_of_ours_shows_where_it_happened_and_what_to_do(bug, capsys):
    assert cli.run(bug, []) == 70
    error = capsys.readouterr().err
    assert error.startswith("Traceback (most recent call last)")
    assert error.endswith(f"{cli.BUG}\n")


def test_debugging_shows_the_traceback_of_a_users_mistake(monkeypatch):
    monkeypatch.setenv("DEXTR_DEBUG", "1")
    with pytest.raises(UserError):
        cli.run(failing(UserError("x")), [])


def plain_value_errors(text):
    """Yield the lines of a source that raise a ValueError."""
    raised = [node.exc for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Raise)]
    calls = [exc for exc in raised if isinstance(exc, ast.Call)]
    yield from (call.lineno for call in calls if ast.unparse(call.func) == "ValueError")


def test_what_we_say_of_a_users_mistake_is_of_its_own_type():
    """Only `networks`, which imports nothing of ours, raises plain ValueErrors."""
    assert list(plain_value_errors("def f():\n    raise ValueError('x') from None")) == [2]
    folders = [ROOT / name for name in ("dextr", "dataloaders", "benchmarks")]
    files = [*ROOT.glob("*.py"), *(path for folder in folders for path in folder.rglob("*.py"))]
    found = {path: list(plain_value_errors(path.read_text("utf-8"))) for path in files}
    assert {path: lines for path, lines in found.items() if lines} == {}, "raise UserError"
