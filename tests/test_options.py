"""Every option of every program refuses what cannot be meant, before anything is done."""

import argparse
import importlib
import json
from pathlib import Path

import pytest

import train_pascal
from dextr.common import cli
from dextr.common.options import Number, options_of

# Every program, with what it must be given besides.
PROGRAMS = {
    "train_pascal": [],
    "eval": [],
    "demo": [],
    **{f"dextr.commands.{name}": [] for name in ("download", "export", "pack", "list_weights")},
    "dextr.commands.annotate": ["--points", "p.csv", "--images", "i", "--output", "o"],
    "dextr.commands.export": ["--output", "o.onnx"],
    "dextr.commands.pack": ["w.pth", "o.safetensors"],
    "dextr.commands.download": ["coco"],
    **{
        f"benchmarks.{path.stem}": []
        for path in sorted((Path(__file__).parents[1] / "benchmarks").glob("*.py"))
        if "parser(__doc__" in path.read_text()
    },
}
# Where an empty text is a value.
MAY_BE_EMPTY = {("dextr.commands.pack", "--note")}


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """Return a function that runs a program in an empty folder: its exit code and last words."""
    monkeypatch.chdir(tmp_path)

    def call(program, argv):
        try:
            code = cli.run(importlib.import_module(program).main, argv)
        except SystemExit as stop:
            code = stop.code
        return code, capsys.readouterr().err.splitlines()[-1]

    return call


class ParserMade(Exception):
    pass


def test_every_number_has_a_range():
    for program in PROGRAMS:
        for action in parser_of(program)._actions:
            kind = {action.type, type(action.default)} & {int, float}
            if kind and action.choices is None:
                assert range_of(program, action), (program, action.option_strings)


def parser_of(program):
    """Return the parser that a program makes, stopped before it does anything."""
    caught = []

    def stop(parser, *_, **__):
        caught.append(parser)
        raise ParserMade

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(argparse.ArgumentParser, "parse_args", stop)
        patch.setattr(argparse.ArgumentParser, "parse_known_args", stop)
        with pytest.raises(ParserMade):
            importlib.import_module(program).main()
    return caught[0]


OF_TRAINING = {o.flag: o for cls in train_pascal.GROUPS.values() for o in options_of(cls).values()}


def range_of(program, action):
    if program == "train_pascal" and action.option_strings[0] in OF_TRAINING:
        within = OF_TRAINING[action.option_strings[0]].spec.metadata["within"]
    else:
        within = action.type
    return within if isinstance(within, Number) else None


def beyond(numbers):
    """Yield texts that are no number of a range."""
    yield from ("", "x", "nan", "inf", "-inf", str(numbers.least - 1))
    yield from (f"{10 * numbers.most:.0f}", "9" * 400, *["1.5"] * (numbers.kind is int))
    yield from [f"{numbers.most:g}"] * numbers.below


def cases():
    for program, needed in PROGRAMS.items():
        for action in parser_of(program)._actions:
            flag, numbers = (action.option_strings or [""])[-1], range_of(program, action)
            if action.nargs == 0 or not flag or (program, flag) in MAY_BE_EMPTY:
                continue
            count = action.nargs if isinstance(action.nargs, int) else 1
            for value in dict.fromkeys(beyond(numbers) if numbers else [""]):
                # With =, or a value such as -1 passes for a flag.
                said = [flag, *[value] * count] if count > 1 else [f"{flag}={value}"]
                name = f"{program} {flag} {value[:9]!r}"
                yield pytest.param(program, [*needed, *said], flag, id=name)


@pytest.mark.parametrize(("program", "argv", "flag"), list(cases()))
def test_what_cannot_be_meant_is_refused_at_once(program, argv, flag, run):
    code, error = run(program, argv)
    assert (code, flag in error) == (2, True), error
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("program", "line", "words"),
    [
        ("train_pascal", "--shapes 3 --size 8", "--size: expected a whole number from 16 to 2048"),
        ("train_pascal", "--shapes 3 --scale 2 1", "--scale: expected two numbers, the smaller"),
        ("train_pascal", "--shapes 3 --relax-range 5 2", "--relax-range: expected two numbers"),
        ("train_pascal", "--shapes 3 --relax-share-range 1 0", "--relax-share-range: expected two"),
        ("train_pascal", "--shapes 3 --rotation nan", "--rotation: expected a number from 0 to"),
        ("train_pascal", "--shapes 3 --device meta", "no device 'meta'"),
        ("train_pascal", "--shapes 3 --name a/b", "--name: expected letters"),
        ("train_pascal", "--shapes 3 --name [a]", "--name: expected letters"),
        ("train_pascal", "--shapes 3 --skips 3 --stages 3", "skips must be one of 0, 1, 2; got 3"),
        ("eval", "--relax 50,nan", "--relax: expected a margin as PIXELS or PIXELS,SHARE"),
        ("eval", "--relax -5", "--relax"),
        ("eval", "--relax 100000", "pixels a whole number from 0 to 2000"),
        ("eval", "--click-noise nan --points image", "--click-noise"),
        ("eval", "--device meta", "no device 'meta': expected 'cpu', 'cuda' or 'cuda:N'"),
        ("eval", "--device mps", "no device 'mps' on this machine"),
        ("eval", "--device xpu", "no device 'xpu' on this machine"),
        ("demo", "--web 70000", "--web: expected a whole number from 1 to 65535, got '70000'"),
        ("demo", "--points 1,2 --output ", "--output"),
        ("dextr.commands.export", "--output a.onnx --batch 1000000000000", "from 1 to 1024"),
    ],
)
def test_what_people_wrote(program, line, words, run):
    code, error = run(program, line.split(" "))
    assert code == 2
    assert words in error
    assert list(Path().rglob("*")) == []


@pytest.mark.parametrize(
    ("program", "line"),
    [
        ("demo", "--points 12,80,210,95 --output {}/m.png"),
        ("demo", "--output {}/m.png"),
        ("demo", "--web 8988 --output {}/folder"),
        ("demo", "--web 8988 --output {}/m.png"),
        ("eval", "--json {}/a.json"),
        ("eval", "--json ."),
        ("eval", "--page {}"),
        ("eval", "--save-masks {}/masks"),
        ("dextr.commands.export", "--output {}/a.onnx"),
        ("dextr.commands.pack", "bundled {}/a.safetensors"),
        ("dextr.commands.download", "coco --root {}"),
        ("benchmarks.evaluation", "--json {}/a.json"),
        ("train_pascal", "--shapes 3 --output-dir {}/run"),
        ("train_pascal", "--shapes 3 --output-dir {}"),
    ],
)
def test_a_place_that_cannot_be_written_to_is_named_before_the_work(program, line, run):
    Path("afile").write_text("mine")
    code, error = run(program, line.format("afile").split())
    assert code == 2
    assert "folder" in error
    assert "Errno" not in error
    assert [p.name for p in Path().iterdir()] == ["afile"]
    assert Path("afile").read_text() == "mine"


@pytest.mark.parametrize("name", [k.spec.name for k in OF_TRAINING.values() if k.kind is not bool])
def test_files_of_options_are_held_to_the_same(name, run):
    flag = "--" + name.replace("_", "-")
    known = OF_TRAINING[flag]
    numbers = known.spec.metadata["within"] if known.kind in (int, float) else None
    for wrong in (numbers.least - 1, 2 * numbers.most, float("nan")) if numbers else ("",):
        count = known.count
        value = wrong if count is None else [wrong] * (count or 1)
        Path("c.json").write_text(json.dumps({name: value}))
        code, error = run("train_pascal", ["--config", "c.json"])
        assert code == 2
        assert error.startswith(f"error: c.json: {flag}: expected")
        assert [p.name for p in Path().iterdir()] == ["c.json"]


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000])
def test_a_deep_file_of_options_is_one_line(content, run):
    Path("c.json").write_text(content)
    code, error = run("train_pascal", ["--config", "c.json"])
    assert code == 2
    assert error.startswith("error: c.json: not readable as JSON")


@pytest.mark.parametrize("value", ["[" * 900 + "]" * 900, json.dumps("x" * 10**6)])
def test_a_huge_value_is_not_repeated_whole(value, run):
    Path("c.json").write_text(f'{{"size": {value}}}')
    code, error = run("train_pascal", ["--config", "c.json"])
    assert code == 2
    assert error.startswith("error: c.json: --size: expected")
    assert len(error) < 200
