"""The registry, against what is published and what models/README.md says."""

from pathlib import Path

import pytest

import dextr
from dextr.weights import registry
from dextr.weights.registry import DATA, PUBLISHED, lookup

ROOT = Path(__file__).parents[3]
MODELS = "https://data.vision.ee.ethz.ch/kmaninis/share/DEXTR/Downloads/models"


@pytest.mark.parametrize(
    ("name", "url", "checksum"),
    [
        ("pascal-sbd", f"{MODELS}/dextr_pascal-sbd.pth", ""),
        ("pascal", f"{MODELS}/dextr_pascal.pth", ""),
        ("coco", f"{MODELS}/dextr_coco.pth", ""),
        (
            "deeplab",
            "https://data.vision.ee.ethz.ch/csergi/share/DEXTR/MS_DeepLab_resnet_trained_VOC.pth",
            "",
        ),
        (
            "voc2012",
            "http://host.robots.ox.ac.uk/pascal/VOC/voc2012/VOCtrainval_11-May-2012.tar",
            "md5:6cd6e144f989b92b3379bac3b3de84fd",
        ),
        (
            "sbd",
            "http://www.eecs.berkeley.edu/Research/Projects/CS/vision/grouping/semantic_contours/"
            "benchmark.tgz",
            "md5:82b4d87ceb2ed10f6038a1cba92111cb",
        ),
    ],
)
def test_entries(name, url, checksum):
    entry = lookup(name)
    assert (entry.url, entry.checksum) == (url, checksum)
    assert entry.file == url.split("/")[-1]


def test_unknown_name():
    with pytest.raises(ValueError, match="nothing is called 'x': expected one of pascal-sbd, "):
        lookup("x")


def test_models_readme_has_every_row():
    text = (ROOT / "models" / "README.md").read_text()
    for entry in PUBLISHED.values():
        if entry.kind != DATA:
            link = f"[{entry.file}]({entry.url})"
            cells = (f"`{entry.name}`", link, entry.size, entry.licence, entry.score)
            assert f"| {' | '.join(cells)} |".replace("|  |", "| |") in text
    assert f"`{registry.BUNDLED_FILE}`" in text


@pytest.mark.parametrize(
    ("environment", "given", "expected"),
    [
        (None, None, f"{MODELS}/dextr_coco.pth"),
        (None, "http://a/b", "http://a/b/dextr_coco.pth"),
        ("http://c/", None, "http://c/dextr_coco.pth"),
        ("http://c/", "http://a/b/", "http://a/b/dextr_coco.pth"),
    ],
)
def test_address(monkeypatch, environment, given, expected):
    monkeypatch.delenv("DEXTR_MIRROR", raising=False)
    if environment:
        monkeypatch.setenv("DEXTR_MIRROR", environment)
    assert lookup("coco").address(given) == expected


def test_bundled_file_lies_beside_the_package_or_in_it(tmp_path, monkeypatch):
    package = tmp_path / "site" / "dextr"
    package.mkdir(parents=True)
    monkeypatch.setattr(dextr, "__file__", str(package / "__init__.py"))
    beside = tmp_path / "site" / "models" / registry.BUNDLED_FILE
    assert registry.bundled_path() == beside
    inside = package / "models" / registry.BUNDLED_FILE
    inside.parent.mkdir()
    inside.write_bytes(b"")
    assert registry.bundled_path() == inside


def test_bundled_network_is_found_here():
    assert registry.bundled_path() == ROOT / "models" / registry.BUNDLED_FILE
    assert registry.bundled_path().is_file()


def test_places(tmp_path, monkeypatch):
    monkeypatch.setenv("DEXTR_CACHE", str(tmp_path))
    monkeypatch.setattr(registry, "bundled_path", lambda: tmp_path / "models" / "x")
    assert lookup("voc2012").default_root() == Path("data")
    assert registry.local_path(lookup("coco")) == tmp_path / "weights" / "dextr_coco.pth"
    by_hand = tmp_path / "models" / "dextr_coco.pth"
    by_hand.parent.mkdir()
    by_hand.write_bytes(b"")
    assert registry.local_path(lookup("coco")) == by_hand
