"""Networks by name and by file."""

import copy
import hashlib
import json
import pickle
import re
import struct

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from dextr.geometry import Margin
from dextr.predictor import Predictor
from dextr.weights import content, load, registry
from dextr.weights.load import load_network, load_predictor, network_from, save_network
from dextr.weights.state_files import FORMAT
from networks import NetworkConfig, build_network

IMAGE = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
CLICKS = [(10, 30), (70, 28), (40, 5), (38, 55)]
ABOUT = {"size": 64, "relax": 10, "threshold": 0.7, "origin": {"from": "a test"}}


@pytest.fixture(autouse=True)
def places(tmp_path, monkeypatch):
    """A cache of the test's own, and no bundled file."""
    monkeypatch.setenv("DEXTR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DEXTR_MIRROR", "http://127.0.0.1:9")
    monkeypatch.setattr(registry, "bundled_path", lambda: tmp_path / "models" / "small.safetensors")
    monkeypatch.setattr(registry, "BUNDLED_CHECKSUM", None)


def small_network(seed=0, **options):
    """A network whose every value is random, batch norms included."""
    network = build_network("resnet18", stages=1, head_width=8, **options)
    generator = torch.Generator().manual_seed(seed)
    for name, value in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            value.fill_(7)
        else:
            value.copy_(torch.rand(value.shape, generator=generator) + 0.1)
    return network


def assert_same_state(a, b):
    a, b = a.state_dict(), b.state_dict()
    assert a.keys() == b.keys()
    for name, value in a.items():
        assert torch.equal(value, b[name]), name
        assert value.dtype == b[name].dtype


def published_file(path, config, prefix="module.", steps=False):
    """A state as the authors published it: no description, perhaps a prefix."""
    with torch.device("meta"):
        names = build_network(**config).state_dict()
    state = {
        prefix + k: torch.zeros(v.shape, dtype=v.dtype)
        for k, v in names.items()
        if steps or not k.endswith("num_batches_tracked")
    }
    state[f"{prefix}conv1.weight"] += 2
    torch.save(state, path, _use_new_zipfile_serialization=False)
    return state


# Own files


@pytest.mark.parametrize(
    "options", [{}, {"head": "atrous"}, {"stride_on": "3x3", "output_stride": 16}], ids=str
)
def test_saved_network_comes_back(tmp_path, options):
    network = small_network(**options)
    save_network(tmp_path / "x.safetensors", network, **ABOUT)
    loaded = load_network(tmp_path / "x.safetensors")
    assert_same_state(loaded.network, network)
    assert loaded.network.config == network.config
    assert (loaded.about.size, loaded.about.relax, loaded.about.threshold) == (64, 10, 0.7)
    assert loaded.about.origin == ABOUT["origin"]
    assert loaded.name == str(tmp_path / "x.safetensors")
    assert loaded.trained
    assert not loaded.network.training
    trainable = [n for n, p in network.named_parameters() if p.requires_grad]
    assert [n for n, p in loaded.network.named_parameters() if p.requires_grad] == trainable
    x = 255 * torch.rand(1, 4, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded.network(x), network.eval()(x))


def test_description_is_in_the_header(tmp_path):
    network = small_network()
    save_network(tmp_path / "x.safetensors", network, **ABOUT, pieces=0.2)
    content = (tmp_path / "x.safetensors").read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    described = json.loads(json.loads(content[8 : 8 + length])["__metadata__"]["dextr"])
    known = {"format": FORMAT, "network": network.config.to_dict(), "pieces": 0.2}
    assert described == {**known, **ABOUT}
    loaded = load_network(tmp_path / "x.safetensors")
    assert loaded.predictor("cpu").pieces == 0.2
    assert loaded.predictor("cpu", pieces=0.0).pieces == 0.0


def test_half_precision_halves_the_file_and_loads_as_float32(tmp_path):
    network = small_network()
    save_network(tmp_path / "x.safetensors", network, **ABOUT)
    save_network(tmp_path / "half.safetensors", network, **ABOUT, half=True)
    whole, half = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("x", "half"))
    assert 0.5 * whole < half < 0.65 * whole
    stored = load_file(tmp_path / "half.safetensors")
    loaded = load_network(tmp_path / "half.safetensors").network
    for name, value in loaded.state_dict().items():
        exact = network.state_dict()[name]
        assert value.dtype == exact.dtype
        if stored[name].dtype == torch.float16:
            torch.testing.assert_close(value, exact, rtol=2**-11, atol=2**-25)
        else:
            assert torch.equal(value, exact)
    kept = {name for name, value in stored.items() if value.dtype != torch.float16}
    assert "conv1.weight" in kept
    assert all(stored[name].ndim < 4 for name in kept - {"conv1.weight"})


def test_half_precision_refuses_what_it_cannot_hold(tmp_path):
    network = small_network()
    network.state_dict()["layer1.0.conv1.weight"][0, 0, 0, 0] = 70_000
    with pytest.raises(ValueError, match=r"layer1.0.conv1.weight holds values too large"):
        save_network(tmp_path / "x.safetensors", network, **ABOUT, half=True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("x.pth", {}, r"ends in \.safetensors, got .*x\.pth"),
        ("x.safetensors", {"size": 0}, "size must be"),
        ("x.safetensors", {"threshold": 2}, r"threshold in 0\.\.1"),
    ],
)
def test_nothing_wrong_is_written(tmp_path, name, changes, message):
    with pytest.raises(ValueError, match=message):
        save_network(tmp_path / name, small_network(), **(ABOUT | changes))
    assert list(tmp_path.iterdir()) == []


def test_channels_last_network_is_saved(tmp_path):
    network = small_network().to(memory_format=torch.channels_last)
    save_network(tmp_path / "x.safetensors", network, **ABOUT)
    assert_same_state(load_network(tmp_path / "x.safetensors").network, network)


@pytest.mark.parametrize("averaged", [True, False])
def test_training_checkpoint(tmp_path, averaged):
    now, average = small_network(0), small_network(1)
    content = {
        "format": 1,
        "network": now.config.to_dict(),
        **ABOUT,
        "weights": now.state_dict(),
        "ema": average.state_dict() if averaged else None,
        "optimizer": {"state": {}, "param_groups": [{"lr": 0.1}]},
        "random": {"torch": torch.get_rng_state()},
    }
    torch.save(content, tmp_path / "x.pth")
    loaded = load_network(tmp_path / "x.pth")
    assert_same_state(loaded.network, average if averaged else now)
    assert (loaded.about.size, loaded.about.relax, loaded.about.threshold) == (64, 10, 0.7)


def test_wrong_file_fails_with_the_offending_keys(tmp_path):
    path, network = tmp_path / "x.safetensors", small_network()
    save_network(path, network, **ABOUT)
    state = load_file(path)
    del state["layer5.final.bias"]
    state["fc.bias"] = torch.zeros(3)
    described = {"format": FORMAT, "network": network.config.to_dict(), **ABOUT}
    save_file(state, path, {"dextr": json.dumps(described)})
    message = rf"{re.escape(str(path))}: .*missing \(layer5.final.bias\).*unexpected \(fc.bias\)"
    with pytest.raises(ValueError, match=message):
        load_network(path)


@pytest.mark.parametrize(
    ("width", "message"),
    [(10**6, "of another shape"), (10**9, "no network can be built"), (8.5, "no network can be")],
)
def test_description_larger_than_its_tensors_takes_no_memory(width, message):
    config = NetworkConfig("resnet18", stages=1, head_width=width)
    with pytest.raises(ValueError, match=message):
        network_from(config, small_network().state_dict())


# Published files


@pytest.mark.parametrize("head", ["psp", "atrous"])
def test_published_file_describes_itself_by_its_keys(tmp_path, head):
    published_file(tmp_path / "x.pth", {"head": head})
    loaded = load_network(tmp_path / "x.pth")
    assert loaded.network.config == NetworkConfig("resnet101", head)
    assert (loaded.about.size, loaded.about.relax, loaded.about.threshold) == (512, 50, 0.8)
    state = loaded.network.state_dict()
    assert (state.pop("conv1.weight") == 2).all()
    assert all((value == 0).all() for value in state.values())


def test_published_file_by_name(tmp_path, monkeypatch):
    """Placed by hand in either folder, without a network."""
    (tmp_path / "models").mkdir()
    published_file(tmp_path / "models" / "dextr_coco.pth", {"head": "psp"}, "", steps=True)
    loaded = load_network("coco")
    assert loaded.name == "coco"
    assert (loaded.network.conv1.weight == 2).all()


def test_published_file_of_another_size_names_the_keys(tmp_path):
    published_file(tmp_path / "x.pth", {"backbone": "resnet50"})
    with pytest.raises(ValueError, match=r"x.pth: .*missing \(layer3.6.conv1.weight"):
        load_network(tmp_path / "x.pth")


def test_file_without_description_and_head(tmp_path):
    torch.save({"some.weight": torch.zeros(3)}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=r"x.pth: the file does not say .* some.weight"):
        load_network(tmp_path / "x.pth")


def test_npz(tmp_path):
    np.savez(tmp_path / "x.npz", **{"layer5.stages.0.1.weight": np.zeros(3, np.float32)})
    with pytest.raises(ValueError, match=r"x.npz: these weights do not fit"):
        load_network(tmp_path / "x.npz")


# Names


def test_untrained_is_the_same_every_time_and_leaves_the_random_state():
    before = torch.get_rng_state()
    first, second = load_network("untrained"), load_network("untrained")
    assert torch.equal(torch.get_rng_state(), before)
    assert_same_state(first.network, second.network)
    assert not first.trained
    assert first.about.size == 256
    assert first.network.config == NetworkConfig(
        "resnet18", stages=3, head_width=64, output_stride=16, skips=2
    )
    x = 255 * torch.rand(2, 4, 256, 256, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        logits = first.network(x)
    assert logits.isfinite().all()
    assert 0.1 < logits.std() < 10


def test_without_a_bundled_file_the_default_is_untrained_and_says_so():
    with pytest.warns(UserWarning, match=r"small.safetensors is missing: using an UNTRAINED"):
        loaded = load_network()
    assert loaded.name == "untrained"
    assert not loaded.trained
    with pytest.raises(ValueError, match=r"small.safetensors: the bundled network is missing"):
        load_network("bundled")


def test_bundled_file_is_the_default(tmp_path, recwarn):
    save_network(registry.bundled_path(), small_network(), **ABOUT)
    for name in (None, "bundled"):
        loaded = load_network(name)
        assert loaded.name == "bundled"
        assert loaded.trained
        assert_same_state(loaded.network, small_network())
    assert load_predictor().size == 64
    assert not recwarn.list


def test_bundled_file_is_held_to_its_checksum(monkeypatch):
    save_network(registry.bundled_path(), small_network(), **ABOUT)
    monkeypatch.setattr(registry, "BUNDLED_CHECKSUM", "sha256:" + "0" * 64)
    with pytest.raises(ValueError, match=r"expected sha256:0+, got sha256:\w+: restore"):
        load_network()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing", "no weights 'nothing': expected a file or one of bundled, untrained, pascal"),
        ("", "no weights ''"),
        ("x.pth", "no weights 'x.pth'"),
        ("deeplab", "'deeplab' is no network to predict with: DeepLab"),
        ("voc2012", "'voc2012' is no network to predict with: PASCAL"),
    ],
)
def test_no_such_weights(name, message):
    with pytest.raises(ValueError, match=message):
        load_network(name)


# Predictors


def test_load_predictor_by_name_takes_the_weights_own_settings():
    predictor = load_predictor("untrained", device="cpu")
    one, other = (load_predictor("untrained", "cpu").predict(IMAGE, CLICKS) for _ in range(2))
    np.testing.assert_array_equal(one.prob, other.prob)
    assert one.window.size == predictor.size
    assert one.threshold == predictor.threshold


def test_loaded_weights_run_as_a_copy_that_is_faster():
    loaded = load_network("untrained")
    inputs = torch.rand(2, 4, 64, 64) * 255
    expected = Predictor(loaded.network, size=64).logits(inputs.numpy())
    predictor = loaded.predictor("cpu", size=64, threshold=0.0, batch_size=2)
    assert (predictor.size, predictor.relax, predictor.threshold) == (64, loaded.about.relax, 0.0)
    assert predictor.batch_size == 2
    np.testing.assert_allclose(predictor.logits(inputs.numpy()), expected, rtol=0, atol=1e-4)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in predictor.network.modules())
    assert any(isinstance(m, nn.BatchNorm2d) for m in loaded.network.modules())
    used_up = loaded.predictor("cpu", size=64, keep=False)
    np.testing.assert_array_equal(used_up.logits(inputs.numpy()), predictor.logits(inputs.numpy()))


def test_a_margin_that_grows_comes_back(tmp_path):
    about = ABOUT | {"relax": Margin(20, 0.2)}
    save_network(tmp_path / "x.safetensors", small_network(), **about)
    loaded = load_network(tmp_path / "x.safetensors")
    assert loaded.about.relax == Margin(20, 0.2)
    assert loaded.predictor("cpu").relax == Margin(20, 0.2)


@pytest.mark.parametrize(
    "copied", [copy.copy, copy.deepcopy, lambda predictor: pickle.loads(pickle.dumps(predictor))]
)
def test_predictors_can_be_copied_and_sent_to_other_processes(copied):
    predictor = load_predictor(device="cpu")
    again = copied(copied(predictor))
    assert (again.size, again.relax, again.threshold) == (
        predictor.size, predictor.relax, predictor.threshold,
    )  # fmt: skip
    expected = predictor.predict(IMAGE, CLICKS).prob
    np.testing.assert_array_equal(again.predict(IMAGE, CLICKS).prob, expected)


def test_pytorchs_default_type_does_not_matter(tmp_path):
    file = tmp_path / "w.safetensors"
    save_network(file, build_network("resnet18", head_width=8, stages=2), **ABOUT)
    expected = [load_predictor(w, "cpu").predict(IMAGE, CLICKS).prob for w in (file, "untrained")]
    torch.set_default_dtype(torch.float64)
    try:
        found = [load_predictor(w, "cpu").predict(IMAGE, CLICKS).prob for w in (file, "untrained")]
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_array_equal(found, expected)


def test_a_network_of_other_channels_is_refused(tmp_path):
    network = build_network("resnet18", stages=1, head_width=8, in_channels=3)
    save_network(tmp_path / "x.safetensors", network, **ABOUT)
    with pytest.raises(ValueError, match=r"expected a network of 4 or 5 channels .*, got 3"):
        load_network(tmp_path / "x.safetensors")


def test_a_published_file_in_the_wrappings_of_others(tmp_path):
    config = {"backbone": "resnet101", "head": "atrous"}
    state = published_file(tmp_path / "plain.pth", config)
    wrapped = {name.replace("module.", "_orig_mod.module."): v for name, v in state.items()}
    torch.save({"state_dict": wrapped, "epoch": 3}, tmp_path / "x.pth.tar")
    plain, other = (load_network(tmp_path / name) for name in ("plain.pth", "x.pth.tar"))
    assert_same_state(plain.network, other.network)
    assert plain.about == other.about


def test_a_file_is_hashed_once(tmp_path, monkeypatch):
    hashed = []
    monkeypatch.setattr(
        content.hashlib,
        "new",
        lambda *args, **options: (hashed.append(len(args[1])), hashlib.sha256(args[1]))[1],
    )
    save_network(tmp_path / "x.safetensors", small_network(), **ABOUT)
    loaded = load_network(tmp_path / "x.safetensors")
    data = (tmp_path / "x.safetensors").read_bytes()
    assert loaded.sha256 == hashlib.sha256(data).hexdigest()
    assert hashed == [len(data)]


def norms_in(network):
    return [m for m in network.modules() if isinstance(m, nn.BatchNorm2d)]


@pytest.mark.parametrize("keep", [True, False])
def test_on_a_gpu_the_folded_network_runs_too(tmp_path, monkeypatch, keep):
    save_network(tmp_path / "x.safetensors", small_network(), **ABOUT)
    loaded = load_network(tmp_path / "x.safetensors")
    # Another device than the CPU that any machine has.
    monkeypatch.setattr(load, "pick_device", lambda device: torch.device("meta"))
    network = loaded.predictor("cuda", keep=keep).network
    assert norms_in(network) == []
    assert next(network.parameters()).is_meta
    assert network.layer1[0].conv1.weight.is_contiguous(memory_format=torch.channels_last)
    assert (norms_in(loaded.network) != []) == keep


def test_half_precision_is_near(tmp_path):
    save_network(tmp_path / "x.safetensors", small_network(), **ABOUT)
    loaded = load_network(tmp_path / "x.safetensors")
    inputs = np.random.default_rng(0).uniform(0, 255, (2, 4, 64, 64)).astype(np.float32)
    exact, half = (loaded.predictor("cpu", amp=a).logits(inputs) for a in (None, "bf16"))
    assert half.dtype == np.float32
    assert 0 < np.abs(half - exact).max() < 0.05 * np.abs(exact).max()
    with pytest.raises(ValueError, match="expected one of bf16, fp16, got 'int4'"):
        loaded.predictor("cpu", amp="int4")


def test_values_too_large_for_half_precision_are_said(tmp_path):
    save_network(tmp_path / "x.safetensors", small_network(), **ABOUT)
    predictor = load_predictor(tmp_path / "x.safetensors", "cpu")
    predictor.network = (
        load_network(tmp_path / "x.safetensors").predictor("cpu", amp="fp16").network
    )
    with pytest.raises(ValueError, match="logits are not finite: half precision"):
        predictor.predict(IMAGE, CLICKS)
