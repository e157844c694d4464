import argparse
from dataclasses import dataclass, replace

import pytest

from dextr.common.options import Checked, option, real, whole
from dextr.training.options import (
    add_options,
    build,
    flatten,
    marked,
    public,
    read_options,
)


@dataclass(frozen=True)
class Paint(Checked):
    colour: str = option("red", "colour of it", choices=("red", "blue"))
    coats: int = option(2, "how many, up to 100 % more", whole(1, 9))
    gloss: float = option(0.5, "shine", real(0, 1.5, below=True), may_change_on_resume=True)
    dry: bool = option(True, "wait in between")
    primer: str | None = option(None, "below it", private=True)


@dataclass(frozen=True)
class Wall(Checked):
    rooms: tuple[str, ...] = option((), "which")
    span: tuple[float, float] = option((0.0, 1.0), "from and to", real(0, 9))
    door: tuple[int, int] | None = option(None, "where it is, if there is one", whole(0, 9))


GROUPS = {"paint": Paint, "wall": Wall}


def parse(*argv):
    parser = argparse.ArgumentParser(prog="p")
    add_options(parser, GROUPS)
    return vars(parser.parse_args(argv))


@pytest.mark.parametrize(
    ("argv", "given"),
    [
        ([], {}),
        (["--coats", "3"], {"coats": 3}),
        (["--gloss", "1"], {"gloss": 1.0}),
        (["--no-dry", "--primer", "x"], {"dry": False, "primer": "x"}),
        (["--rooms", "a", "b", "--rooms", "c"], {"rooms": ["a", "b", "c"]}),
        (["--span", "1", "2.5"], {"span": [1.0, 2.5]}),
        (["--door", "1", "2"], {"door": [1, 2]}),
    ],
)
def test_flags_give_only_what_was_said(argv, given):
    assert parse(*argv) == given


def test_nothing_given_builds_the_defaults():
    assert build(GROUPS, {}) == {"paint": Paint(), "wall": Wall()}


def test_flattened_options_build_the_same_again():
    built = build(GROUPS, {"rooms": ["a"], "span": (2, 3), "primer": "x", "gloss": 1})
    assert built["wall"] == Wall(("a",), (2.0, 3.0))
    assert build(GROUPS, flatten(built)) == built


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"colur": "red"}, "unknown colur"),
        ({"coats": "ten"}, "--coats: expected a value of type int, got 'ten'"),
        ({"coats": True}, "--coats: expected a value of type int"),
        ({"coats": 2.0}, "--coats: expected a value of type int"),
        ({"dry": 1}, "--dry: expected a value of type bool"),
        ({"colour": "green"}, "--colour: expected one of red, blue, got 'green'"),
        ({"colour": None}, "--colour: expected a value of type str"),
        ({"coats": 0}, "--coats: expected a whole number from 1 to 9, got 0"),
        ({"coats": 10}, "--coats: expected a whole number from 1 to 9, got 10"),
        ({"gloss": 1.5}, "--gloss: expected a number from 0 to less than 1.5, got 1.5"),
        ({"gloss": float("nan")}, "--gloss: .*, got nan"),
        ({"primer": ""}, "--primer: expected a text that is not empty, got ''"),
        ({"rooms": ["a", ""]}, "--rooms: expected a text that is not empty"),
        ({"span": [1]}, "--span: expected a list of 2 float"),
        ({"span": [2, 1]}, r"--span: expected two numbers, the smaller one first, got \[2, 1\]"),
        ({"span": [1, 10]}, "--span: expected a number from 0 to 9, got 10"),
        ({"door": 1}, "--door: expected a list of 2 int"),
        ({"rooms": "a"}, "--rooms: expected a list of any number of str"),
    ],
)
def test_what_is_wrong_is_named(values, words):
    with pytest.raises(ValueError, match=f"^x.json: {words}"):
        build(GROUPS, values, "x.json")


@pytest.mark.parametrize("values", [{"coats": 0}, {"gloss": float("inf")}, {"primer": ""}])
def test_no_instance_is_wrong(values):
    with pytest.raises(ValueError, match="expected"):
        Paint(**values)
    with pytest.raises(ValueError, match="expected"):
        replace(Paint(), **values)


def test_help_tells_text_choices_and_default(capsys):
    with pytest.raises(SystemExit):
        parse("--help")
    text = " ".join(capsys.readouterr().out.split())
    for words in (
        "how many, up to 100 % more (default: 2)",
        "{red,blue}",
        "--no-dry",
        "(default: 0.0 1.0)",
        "below it",
    ):
        assert words in text
    assert "None" not in text


def test_options_that_may_change():
    assert marked(GROUPS, "may_change_on_resume") == {"gloss"}


@pytest.mark.parametrize(("content", "words"), [("{", "not readable as JSON"), ("[1]", "got list")])
def test_a_file_that_is_no_object_is_refused(tmp_path, content, words):
    (tmp_path / "c.json").write_text(content)
    with pytest.raises(ValueError, match=words):
        read_options(tmp_path / "c.json")


def test_weights_say_no_private_option():
    built = build(GROUPS, {"primer": "mine", "coats": 3})
    assert flatten(built)["primer"] == "mine"
    assert public(built) == {k: v for k, v in flatten(built).items() if k != "primer"}
