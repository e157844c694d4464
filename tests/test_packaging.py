"""What a wheel holds: every folder of code, and the weights."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


@pytest.fixture
def setup():
    toml = pytest.importorskip("tomllib")  # Python 3.11
    return toml.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]


def test_every_package_is_named(setup):
    tops = ("networks", "dextr", "dataloaders")
    faces = [face for top in tops for face in (ROOT / top).rglob("__init__.py")]
    found = {".".join(face.parent.relative_to(ROOT).parts) for face in faces}
    assert set(setup["packages"]) == found | {"dextr.models"}
    assert {"networks", "dextr.common", "dataloaders.crops"} <= found


def test_weights_come_along(setup):
    assert setup["package-dir"] == {"dextr.models": "models"}
    assert "*.safetensors" in setup["package-data"]["dextr.models"]
    assert list((ROOT / "models").glob("*.safetensors"))


def test_an_opencv_without_its_graphics_libraries_says_what_to_install(tmp_path):
    (tmp_path / "cv2.py").write_text('raise ImportError("libGL.so.1: cannot open")')
    done = subprocess.run(
        [sys.executable, "-c", "import dextr"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stderr.splitlines()[-1]
    assert "OpenCV cannot be loaded (libGL.so.1: cannot open)" in last
    assert "pip install opencv-python-headless" in last
