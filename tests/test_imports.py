"""DESIGN.md's table of who may import whom holds, and importing does nothing."""

import ast
import importlib
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from dextr.__main__ import COMMANDS

ROOT = Path(__file__).parents[1]
PACKAGES = ("networks", "dextr", "dataloaders")
MOST_FILES = 12

# A folder, and the folders it may import besides itself.
TABLE = {
    "networks": (),
    "dextr/common": (),
    "dextr": ("dextr/common",),
    "dataloaders": ("dextr/common", "dextr"),
    "dataloaders/crops": ("dextr/common", "dextr", "dataloaders"),
    "dextr/weights": ("dextr/common", "dextr", "networks"),
    "dextr/evaluation": ("dextr/common", "dextr", "dextr/weights"),
    "dextr/training": ("dextr/common", "dextr", "dextr/weights", "dextr/evaluation", "networks"),
    "dextr/annotation": ("dextr/common", "dextr"),
    "dextr/video": ("dextr/common", "dextr"),
    "dextr/window": ("dextr/common", "dextr", "dextr/weights", "dextr/annotation"),
    "dextr/integrations": ("dextr/common", "dextr", "dextr/weights", "dextr/annotation"),
    "dextr/export": ("dextr/common", "dextr", "dextr/weights", "networks"),
    "dextr/commands": (
        *("dextr/common", "dextr", "dextr/weights", "dextr/annotation", "dextr/export"),
        *("dextr/video", "dextr/integrations"),
    ),
}
# The scripts (the root), and other programs and the face: they may import all but scripts.
PROGRAMS = (".", "benchmarks", "experiments")
FREE = ("dextr/__init__.py", "dextr/__main__.py")

TORCH_FREE = ("geometry", "points", "heatmap", "samples")
# Slow or seldom installed: only the function that needs one imports it.
LATE = {"onnx", "onnxruntime", "openvino", "pycocotools", "tensorboardX", "tkinter"}

PRODUCT = [
    *(path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))),
    *sorted(ROOT.glob("*.py")),
]
PROGRAM_FILES = [p for folder in PROGRAMS[1:] for p in sorted((ROOT / folder).rglob("*.py"))]
SOURCES = {
    path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8")
    for path in PRODUCT + PROGRAM_FILES
}


def module_of(path):
    return path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")


def folder_of(path):
    return Path(path).parent.as_posix()


def imported(tree):
    """Yield the full names a tree imports, at any depth; `from a import b` as a.b."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def graph_of(sources):
    """Return the files of ours that each file imports; sources are texts by path."""
    paths = {module_of(path): path for path in sources}

    def file_of(name):
        while name and name not in paths:
            name = name.rpartition(".")[0]
        return paths.get(name)

    return {
        path: {file for name in imported(ast.parse(text)) if (file := file_of(name))}
        for path, text in sources.items()
    }


def breaches_of(graph):
    """Return the imports that the table forbids, as (file, file) pairs."""

    def allowed(path):
        own = folder_of(path)
        if path in FREE or own in PROGRAMS:
            return {*TABLE, own} - {"."}
        return {*TABLE[own], own}

    return {(a, b) for a in graph for b in graph[a] if folder_of(b) not in allowed(a)}


def reached(graph, start):
    """Return the files that a file imports, and those that these import, and so on."""
    waiting, seen = [start], set()
    while waiting:
        new = graph[waiting.pop()] - seen
        seen |= new
        waiting += new
    return seen


def circles_of(graph):
    """Return the groups of files that import each other, directly or not; faces import nothing."""
    graph = {path: set() if path in FREE else used for path, used in graph.items()}
    reach = {path: reached(graph, path) for path in graph}
    groups = (frozenset(b for b in reach[a] if a in reach[b]) for a in graph)
    return {group for group in groups if group}


def large_of(sources):
    """Return the folders with too many files; faces do not count."""
    files = [path for path in sources if not path.endswith("__init__.py")]
    counts = Counter(folder_of(path) for path in files if folder_of(path) not in PROGRAMS)
    return {folder for folder, count in counts.items() if count > MOST_FILES}


GRAPH = graph_of(SOURCES)


class TestTable:
    def test_holds(self):
        assert breaches_of(GRAPH) == set()

    def test_no_circle_of_files(self):
        assert circles_of(GRAPH) == set()

    def test_no_circle_of_folders(self):
        assert circles_of({folder: set(others) for folder, others in TABLE.items()}) == set()

    def test_folders_are_small(self):
        assert large_of(SOURCES) == set()

    def test_everything_is_looked_at(self):
        some = {"networks/resnet.py", "dextr/geometry.py", "dextr/common/files.py", "eval.py"}
        assert some <= set(SOURCES)


class TestChecker:
    """The checks above see what they should, in made-up files."""

    FILES = ("dextr/__init__.py", "dextr/points.py", "dextr/common/files.py", "eval.py",
             "dextr/weights/__init__.py", "dextr/weights/load.py", "networks/heads.py")  # fmt: skip

    def graph(self, **texts):
        named = {module_of(path): path for path in self.FILES}
        return graph_of(
            dict.fromkeys(self.FILES, "")
            | {named[name.replace("__", ".")]: text for name, text in texts.items()}
        )

    @pytest.mark.parametrize(
        "text",
        [
            "import dextr.weights.load",
            "from dextr.weights.load import load_network",
            "from dextr.weights import load",
            "from dextr import weights",
            "from dextr.weights import load_network",
            "def f():\n    from dextr.weights.load import load_network",
            "if TYPE_CHECKING:\n    from dextr.weights.load import LoadedNetwork",
            "from networks.heads import PspHead",
            "import eval",
        ],
    )
    def test_forbidden_import_is_seen_anywhere(self, text):
        found = breaches_of(self.graph(dextr__points=text))
        assert [importer for importer, _ in found] == ["dextr/points.py"]

    @pytest.mark.parametrize("text", ["from dextr.common import files", "import dextr.points, os"])
    def test_allowed_import_is_none(self, text):
        assert breaches_of(self.graph(dextr__weights__load=text)) == set()

    def test_face_and_scripts_may_import_all_but_scripts(self):
        text = "from dextr.weights import load\nfrom networks import heads"
        assert breaches_of(self.graph(dextr=text, eval=text)) == set()
        assert breaches_of(self.graph(dextr="import eval")) == {("dextr/__init__.py", "eval.py")}

    def test_folder_outside_the_table_is_an_error(self):
        with pytest.raises(KeyError, match="dextr/new"):
            breaches_of(graph_of({"dextr/new/file.py": "import dextr.x", "dextr/x.py": ""}))

    def test_circle_is_seen(self):
        graph = self.graph(
            dextr__weights__load="from dextr.common import files",
            dextr__common__files="def f():\n    import dextr.points",
            dextr__points="from dextr.weights.load import load_network",
        )
        assert circles_of(graph) == {
            frozenset({"dextr/weights/load.py", "dextr/common/files.py", "dextr/points.py"})
        }

    def test_large_folder_is_seen(self):
        names = [f"dextr/video/file{k}.py" for k in range(MOST_FILES)]
        assert large_of([*names, "dextr/video/__init__.py"]) == set()
        assert large_of([*names, "dextr/video/more.py"]) == {"dextr/video"}


@pytest.mark.parametrize("path", [path.relative_to(ROOT).as_posix() for path in PRODUCT])
class TestModule:
    def test_no_star_imports(self, path):
        assert not any(name.endswith(".*") for name in imported(ast.parse(SOURCES[path])))

    def test_seldom_needed_packages_are_imported_late(self, path):
        top = [node for node in ast.parse(SOURCES[path]).body if not isinstance(node, ast.If)]
        outside = [n for n in top if not isinstance(n, ast.FunctionDef | ast.ClassDef)]
        used = {name.split(".")[0] for node in outside for name in imported(node)}
        assert not used & LATE

    def test_top_level_only_defines(self, path):
        """Definitions, constants, docstring, and what runs a script: no other statement."""
        body = ast.parse(SOURCES[path]).body
        allowed = (
            ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign
        )  # fmt: skip
        for node in body[1:]:
            guarded = isinstance(node, ast.If) and ast.unparse(node.test) in (
                "__name__ == '__main__'",
                "TYPE_CHECKING",
            )
            if isinstance(node, ast.Try):  # an import, and what to do where it fails
                ways = [node.body, *(handler.body for handler in node.handlers)]
                kinds = [{type(inner) for inner in way} for way in ways]
                guarded = kinds == [{ast.Import}, {ast.Raise}]
            assert isinstance(node, allowed) or guarded, ast.unparse(node)[:200]


@pytest.mark.parametrize("module", TORCH_FREE)
def test_needs_no_torch(module):
    start = f"dextr/{module}.py"
    for path in {start} | reached(GRAPH, start):
        used = {name.split(".")[0] for name in imported(ast.parse(SOURCES[path]))}
        assert not used & {"torch", "torchvision", "networks"}, path


@pytest.mark.parametrize("command", COMMANDS)
def test_command_is_there(command):
    assert callable(importlib.import_module(COMMANDS[command][0]).main)


WATCH = """
import os, random, sys, threading
import numpy, torch, torchvision, cv2, matplotlib

def state():
    return (
        random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist(),
        dict(os.environ), os.getcwd(), os.listdir(), threading.active_count(),
        torch.get_num_threads(), torch.get_default_dtype(), torch.is_grad_enabled(),
        cv2.getNumThreads(), matplotlib.rcParams.copy(), list(sys.path), sys.excepthook,
    )

before = state()
import importlib
for name in sys.argv[1:]:
    importlib.import_module(name)
changed = [k for k, (a, b) in enumerate(zip(before, state())) if a != b]
assert not changed, [(before[k], state()[k]) for k in changed]
optional = {"onnx", "onnxruntime", "openvino", "tkinter", "pycocotools", "tensorboardX"}
assert not optional & set(sys.modules)
"""


def test_importing_everything_does_nothing(tmp_path):
    """No output, no file, no random number, no setting changed."""
    paths = (path.relative_to(ROOT).as_posix() for path in PRODUCT if path.stem != "__main__")
    names = [module_of(path) for path in paths]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    finished = subprocess.run(
        [sys.executable, "-c", WATCH, *names],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert finished.stdout + finished.stderr == ""
    assert list(tmp_path.iterdir()) == []


def test_a_predictor_is_read_in_fifteen_modules():
    """Faces of packages (`__init__`) aside: they lead to what the folder holds."""
    seen = reached(GRAPH, "dextr/predictor.py") | {"dextr/predictor.py"}
    assert {"dextr/geometry.py", "dextr/heatmap.py", "dextr/common/images.py"} < seen
    assert {folder_of(path) for path in seen} == {"dextr", "dextr/common"}
    assert len(seen) <= 15, sorted(seen)
