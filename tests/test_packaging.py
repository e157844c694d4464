"""What a wheel holds: every folder of code, and the weights."""

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
