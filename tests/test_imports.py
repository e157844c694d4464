"""Imports point one way, and importing does nothing."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("networks", "dextr", "dataloaders")
SCRIPTS = tuple(path.stem for path in sorted(ROOT.glob("*.py")))
FILES = [
    *(path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))),
    *(ROOT / f"{script}.py" for script in SCRIPTS),
]
ALLOWED = {
    "networks": {"networks"},
    "dextr": {"networks", "dextr"},
    "dataloaders": {"networks", "dextr", "dataloaders"},
    **{script: set(PACKAGES) for script in SCRIPTS},
}
TORCH_FREE = ("geometry", "points", "heatmap", "samples")
# Slow or seldom installed: only the function that needs one imports it.
LATE = {"onnx", "onnxruntime", "openvino", "pycocotools", "tensorboardX", "tkinter"}


def name_of(path):
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imported(node):
    """Yield the full names a tree imports, `from a import b` as a.b."""
    for child in ast.walk(node):
        if isinstance(child, ast.Import):
            yield from (alias.name for alias in child.names)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "imports are absolute"
            yield from (f"{child.module}.{alias.name}" for alias in child.names)


def tree_of(path):
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def test_everything_is_looked_at():
    names = {name_of(path) for path in FILES}
    assert {"networks.resnet", "dextr.geometry", "dataloaders.pascal", "eval"} <= names


@pytest.mark.parametrize("path", FILES, ids=name_of)
class TestModule:
    def test_imports_point_one_way(self, path):
        own = name_of(path).split(".")[0]
        used = {name.split(".")[0] for name in imported(tree_of(path))}
        assert used & {*PACKAGES, *SCRIPTS} <= ALLOWED[own] | ({own} & set(PACKAGES))

    def test_no_star_imports(self, path):
        assert not any(name.endswith(".*") for name in imported(tree_of(path)))

    def test_seldom_needed_packages_are_imported_late(self, path):
        top = [node for node in tree_of(path).body if not isinstance(node, ast.If)]
        outside = [n for n in top if not isinstance(n, ast.FunctionDef | ast.ClassDef)]
        used = {name.split(".")[0] for node in outside for name in imported(node)}
        assert not used & LATE

    def test_top_level_only_defines(self, path):
        """Definitions, constants, docstring, and what runs a script: no other statement."""
        body = tree_of(path).body
        allowed = (
            ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign
        )  # fmt: skip
        for node in body[1:]:
            guarded = isinstance(node, ast.If) and ast.unparse(node.test) in (
                "__name__ == '__main__'",
                "TYPE_CHECKING",
            )
            assert isinstance(node, allowed) or guarded, ast.unparse(node)[:200]


@pytest.mark.parametrize("module", TORCH_FREE)
def test_needs_no_torch(module):
    waiting, seen = {f"dextr.{module}"}, set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        for used in imported(tree_of(ROOT / f"{name.replace('.', '/')}.py")):
            package, _, rest = used.partition(".")
            assert package not in ("torch", "torchvision", "networks"), f"{name} imports {used}"
            if package == "dextr":
                waiting |= {f"dextr.{rest.split('.')[0]}"} - seen


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
    names = [name_of(path) for path in FILES if path.stem != "__main__"]
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
    waiting, seen = {"dextr.predictor"}, set()
    while waiting:
        name = waiting.pop()
        seen.add(name)
        for used in imported(tree_of(ROOT / f"{name.replace('.', '/')}.py")):
            while used and not (ROOT / f"{used.replace('.', '/')}.py").is_file():
                used = used.rpartition(".")[0]
            waiting |= {used} - seen - {""}
    assert {"dextr.geometry", "dextr.heatmap", "dextr.common.images"} < seen
    assert {name.split(".")[0] for name in seen} == {"dextr"}
    assert not any(name.startswith("dextr.weights") for name in seen)
    assert len(seen) <= 15, sorted(seen)
