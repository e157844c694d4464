"""The entry points as torch.hub calls them."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
import torch

from dextr import Predictor
from dextr.weights import registry
from dextr.weights.load import save_network
from networks import NetworkConfig, build_network

ROOT = Path(__file__).parents[1]
IMAGE = np.zeros((40, 60, 3), np.uint8)
POINTS = [(5, 20), (50, 20), (30, 3), (30, 35)]


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    monkeypatch.setenv("DEXTR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DEXTR_MIRROR", "http://127.0.0.1:9")
    monkeypatch.setattr("dextr.weights.transfer.sleep", lambda seconds: None)
    monkeypatch.setattr(registry, "bundled_path", lambda: tmp_path / "models" / "small.safetensors")
    monkeypatch.setattr(registry, "BUNDLED_CHECKSUM", None)


def load(name, **options):
    return torch.hub.load(str(ROOT), name, source="local", **options)


def save_small(path):
    network = build_network("resnet18", stages=1, head_width=8)
    save_network(path, network, size=64, relax=10, threshold=0.0, origin={})
    return path


def test_small():
    with pytest.warns(UserWarning, match="UNTRAINED"):
        predictor = load("dextr_small", device="cpu")
    assert predictor.size == 256
    save_small(registry.bundled_path())
    predictor = load("dextr_small", device="cpu")
    assert isinstance(predictor, Predictor)
    assert predictor.size == 64
    assert predictor.predict(IMAGE, POINTS).mask[20, 30]


def test_resnet101_untrained():
    predictor = load("dextr_resnet101", pretrained=False, device="cpu")
    assert predictor.network.config == NetworkConfig()
    assert predictor.size == 512
    assert not predictor.network.training


def test_resnet101_from_a_file(tmp_path):
    path = save_small(tmp_path / "x.safetensors")
    assert load("dextr_resnet101", weights=str(path), device="cpu").size == 64


def test_resnet101_asks_for_the_published_file():
    with pytest.raises(ValueError, match=r"127.0.0.1:9/dextr_pascal-sbd.pth: .* put it at"):
        load("dextr_resnet101")


def test_dependencies_can_be_imported():
    spec = importlib.util.spec_from_file_location("hubconf", ROOT / "hubconf.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert all(importlib.util.find_spec(name) for name in module.dependencies)
