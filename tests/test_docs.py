"""The API pages: every public module has one, and nothing in them comes from a network."""

import re
import shutil
import subprocess
from pathlib import Path

import pdoc
import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("networks", "dextr", "dataloaders")
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
    if path.stem != "__main__"
]
LOADED = re.compile(r"<link\b[^>]*>|<(?:script|img|iframe)\b[^>]*\bsrc=\"(?!data:)[^>]*>|@import")


@pytest.mark.skipif(not shutil.which("make"), reason="needs make")
def test_make_docs_names_every_module():
    planned = subprocess.run(
        ["make", "-n", "docs"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert {*PACKAGES, "dextr.geometry", "dataloaders.pascal"} <= set(MODULES)
    assert set(MODULES) <= set(planned.split())


@pytest.mark.filterwarnings("ignore:Error parsing type annotation")
@pytest.mark.filterwarnings("ignore:The module specification")
def test_every_module_has_a_page_that_needs_no_network(tmp_path):
    pdoc.render.configure(docformat="google", show_source=False)
    pdoc.pdoc(*MODULES, output_directory=tmp_path)
    index = (tmp_path / "index.html").read_text(encoding="utf-8")
    for module in MODULES:
        page = f"{module.replace('.', '/')}.html"
        assert f'href="{page}"' in index
        text = (tmp_path / page).read_text(encoding="utf-8")
        assert not LOADED.findall(text), module
    predictor = (tmp_path / "dextr/predictor.html").read_text(encoding="utf-8")
    assert "Return the mask of the object with these extreme points." in predictor
