"""Initial values, against torchvision's own networks and made files."""

import pytest
import torch
import torchvision
from torch import nn

from networks import build_network, load_deeplab, load_imagenet, load_partial, load_strict


def torchvision_net(name, seed=0, **options):
    """torchvision's network with random values, batch-norm statistics included."""
    torch.manual_seed(seed)
    net = getattr(torchvision.models, name)(weights=None, **options)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, std=0.2)
            module.running_mean.normal_(std=0.2)
            module.running_var.uniform_(0.5, 1.5)
    return net.eval().double()


def torchvision_stages(net, x):
    x = net.maxpool(net.relu(net.bn1(net.conv1(x))))
    outputs = []
    for stage in (net.layer1, net.layer2, net.layer3, net.layer4):
        x = stage(x)
        outputs.append(x)
    return outputs


def small(backbone="resnet18", **options):
    return build_network(backbone, **({"head_width": 8} | options)).double().eval()


def random_state(net, drop=(), prefix=""):
    """Other values for every entry, under other names if asked."""
    generator = torch.Generator().manual_seed(1)
    return {
        prefix + name: torch.randn(value.shape, generator=generator, dtype=torch.float64).abs()
        for name, value in net.state_dict().items()
        if not name.endswith("num_batches_tracked") and not name.startswith(tuple(drop))
    }


def snapshot(net):
    return {name: value.clone() for name, value in net.state_dict().items()}


def assert_same(a, b):
    assert a.keys() == b.keys()
    for name in a:
        assert torch.equal(a[name], b[name]), name


# Random values


def test_random_values_are_the_published_distribution():
    torch.manual_seed(0)
    net = build_network("resnet18", head_width=64)
    weights = torch.cat([m.weight.flatten() for m in net.modules() if isinstance(m, nn.Conv2d)])
    assert weights.mean().item() == pytest.approx(0, abs=1e-4)
    assert weights.std().item() == pytest.approx(0.01, rel=1e-2)
    norms = [m for m in net.modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 25  # 20 in the backbone, 4 pools, 1 bottleneck
    assert all((m.weight == 1).all() and (m.bias == 0).all() for m in norms)
    assert all((m.running_mean == 0).all() and (m.running_var == 1).all() for m in norms)


# ImageNet


@pytest.mark.parametrize(("backbone", "stride_on"), [("resnet18", "1x1"), ("resnet50", "3x3")])
def test_imagenet_takes_0_to_255(monkeypatch, backbone, stride_on):
    theirs = torchvision_net(backbone)
    asked = []

    def get_state_dict(self, **options):
        asked.append((self.name, options))
        return theirs.state_dict()

    monkeypatch.setattr("torchvision.models._api.WeightsEnum.get_state_dict", get_state_dict)
    net = small(backbone, stride_on=stride_on)
    report = load_imagenet(net)
    assert asked[0][0] == "IMAGENET1K_V1"
    assert asked[0][1].items() >= {"check_hash": True, "weights_only": True}.items()
    assert {n.split(".")[0] for n in report.missing} == {"layer5"}
    assert report.unused == ["fc.weight", "fc.bias"]
    assert torch.equal(net.conv1.weight[:, 3], net.conv1.weight[:, 2])

    image = torch.randint(256, (1, 3, 128, 128), generator=torch.Generator().manual_seed(2))
    image = image.double()
    mean = torch.tensor([0.485, 0.456, 0.406], dtype=torch.float64).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225], dtype=torch.float64).view(3, 1, 1)
    heatmap = torch.zeros(1, 1, 128, 128, dtype=torch.float64)
    with torch.no_grad():
        expected = torchvision_stages(theirs, (image / 255 - mean) / std)[0]
        found = net.stage_outputs(torch.cat([image, heatmap], dim=1))[0]
    # The rim differs: there torchvision pads with the mean colour, DEXTR with black.
    inside = (..., slice(8, -8), slice(8, -8))
    torch.testing.assert_close(found[inside], expected[inside], rtol=1e-6, atol=1e-6)
    assert not torch.allclose(found, expected)


def test_imagenet_needs_torchvisions_stride():
    with pytest.raises(ValueError, match='stride_on="3x3"'):
        load_imagenet(small("resnet50", stages=1), {})


@pytest.mark.parametrize("channels", [None, 4])
def test_imagenet_wants_a_three_channel_file(channels):
    state = {} if channels is None else {"conv1.weight": torch.zeros(64, channels, 7, 7)}
    with pytest.raises(ValueError, match=r"expected torchvision's names with conv1.weight"):
        load_imagenet(small(), state)


# The dilated network computes what the strided one does


def test_dilated_resnet50_is_torchvisions_dilated_one():
    theirs = torchvision_net("resnet50", replace_stride_with_dilation=[False, True, True])
    net = small("resnet50", in_channels=3, stride_on="3x3")
    load_partial(net, theirs.state_dict())
    x = torch.randn(1, 3, 64, 96, dtype=torch.float64)
    with torch.no_grad():
        pairs = zip(net.stage_outputs(x), torchvision_stages(theirs, x), strict=True)
        for found, expected in pairs:
            torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["resnet18", "resnet34"])
@pytest.mark.parametrize("output_stride", [8, 16])
def test_dilated_network_sampled_is_the_strided_one(name, output_stride):
    theirs = torchvision_net(name)
    net = small(name, in_channels=3, output_stride=output_stride)
    load_partial(net, theirs.state_dict())
    x = torch.randn(1, 3, 64, 128, dtype=torch.float64)
    with torch.no_grad():
        found, expected = net.stage_outputs(x)[-1], torchvision_stages(theirs, x)[-1]
    every = 32 // output_stride
    assert found.shape[2:] == (64 // output_stride, 128 // output_stride)
    torch.testing.assert_close(found[..., ::every, ::every], expected, rtol=1e-9, atol=1e-9)


# Strict


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float16])
def test_strict_takes_every_entry(prefix, dtype):
    net = small(stages=1)
    state = {k: v.to(dtype) for k, v in random_state(net, prefix=prefix).items()}
    load_strict(net, state)
    own = net.state_dict()
    assert {prefix + k for k in own if not k.endswith("num_batches_tracked")} == set(state)
    for name, value in state.items():
        assert torch.equal(own[name.removeprefix(prefix)], value.double())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.clear(), r"missing \(conv1.weight, bn1.weight, .* and \d+ more\)"),
        (lambda s: s.pop("layer5.final.bias"), r"1 missing \(layer5.final.bias\)"),
        (lambda s: s.update({"fc.bias": torch.zeros(3)}), r"1 unexpected \(fc.bias\)"),
        (
            lambda s: s.update({"layer5.final.bias": torch.zeros(3)}),
            r"1 of another shape \(layer5.final.bias \(3,\) for \(1,\)\)",
        ),
    ],
)
def test_strict_names_what_is_wrong_and_changes_nothing(change, message):
    net = small(stages=1)
    state, before = random_state(net), snapshot(net)
    change(state)
    with pytest.raises(ValueError, match=message):
        load_strict(net, state)
    assert_same(net.state_dict(), before)


# Partial


def test_partial_reports_what_was_loaded_and_what_not():
    net = small(stages=2)
    before = snapshot(net)
    state = random_state(net, drop=["layer5", "layer2"]) | {"fc.bias": torch.zeros(5)}
    report = load_partial(net, state)
    after = net.state_dict()
    for name, value in after.items():
        expected = before[name] if name in report.missing else state.get(name, before[name])
        assert torch.equal(value, expected), name
    assert {n.split(".")[0] for n in report.missing} == {"layer2", "layer5"}
    assert set(report.loaded) == set(state) - {"fc.bias"}
    assert str(report) == (
        "loaded conv1 (1), bn1 (4), layer1 (20); kept initial values of layer2 (25), "
        "layer5 (27); left out of the file fc (1)"
    )


def test_partial_copies_the_last_colour_to_the_heat_map():
    net = small(stages=1)
    state = random_state(net)
    rgb = state["conv1.weight"][:, :3]
    load_partial(net, state | {"conv1.weight": rgb})
    assert torch.equal(net.conv1.weight[:, :3], rgb)
    assert torch.equal(net.conv1.weight[:, 3], rgb[:, 2])


@pytest.mark.parametrize("known", [3, 4])
def test_a_network_that_looks_twice_begins_as_one_that_does_not(known):
    torch.manual_seed(1)
    once, twice = small(stages=1).eval(), small(stages=1, in_channels=5).eval()
    state = {name: value.abs() for name, value in random_state(once).items()}  # no variance < 0
    state["conv1.weight"] = state["conv1.weight"][:, :known]
    load_partial(once, state)
    load_partial(twice, state)
    x = 255 * torch.rand(2, 5, 32, 32, dtype=once.conv1.weight.dtype)
    assert not twice.conv1.weight[:, 4].any()
    assert torch.allclose(twice(x[:, :4]), once(x[:, :4]), rtol=1e-6)
    assert torch.allclose(twice(x), once(x[:, :4]), rtol=1e-5, atol=1e-5)
    torch.nn.init.ones_(twice.conv1.weight)
    blank = torch.cat([x[:, :4], torch.zeros_like(x[:, :1])], dim=1)
    assert torch.equal(twice(x[:, :4]), twice(blank))
    assert not torch.allclose(twice(x), twice(blank))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.clear(), "no convolution of the network is in the file"),
        (lambda s: s.pop("layer1.1.bn2.bias"), r"missing from parts that are there \(layer1.1.bn2"),
        (
            lambda s: s.update({"layer1.2.bn2.bias": torch.zeros(64)}),
            r"unexpected in parts of the network \(layer1.2.bn2.bias\)",
        ),
        (lambda s: s.update({"layer1.0.conv1.weight": torch.zeros(8, 64, 1, 1)}), "another shape"),
    ],
)
def test_partial_refuses_what_makes_no_sense_and_changes_nothing(change, message):
    net = small(stages=1)
    state, before = random_state(net), snapshot(net)
    change(state)
    with pytest.raises(ValueError, match=message):
        load_partial(net, state)
    assert_same(net.state_dict(), before)


# DeepLab


def deeplab_file(net):
    state = random_state(net, drop=["layer5"], prefix="Scale.")
    state["Scale.conv1.weight"] = state["Scale.conv1.weight"][:, :3]
    classifier = torch.zeros(21, 2048, 3, 3)
    return state | {f"Scale.layer5.conv2d_list.{i}.weight": classifier for i in range(4)}


def test_deeplab_as_intended():
    net = small("resnet50", stages=2)
    before, state = snapshot(net), deeplab_file(net)
    report = load_deeplab(net, state)
    after = net.state_dict()
    for name, value in after.items():
        theirs = state.get(f"Scale.{name}")
        if name == "conv1.weight":
            assert torch.equal(value[:, :3], theirs)
            assert torch.equal(value[:, 3], theirs[:, 2])
        else:
            assert torch.equal(value, before[name] if theirs is None else theirs), name
    assert {n.split(".")[0] for n in report.missing} == {"layer5"}
    assert report.unused == []


def test_deeplab_as_released_leaves_conv1_and_statistics_alone():
    net = small("resnet50", stages=2)
    before, state = snapshot(net), deeplab_file(net)
    report = load_deeplab(net, state, released=True)
    for name, value in net.state_dict().items():
        theirs = state.get(f"Scale.{name}")
        kept = theirs is None or name == "conv1.weight" or "running_" in name
        assert torch.equal(value, before[name] if kept else theirs), name
        if not name.endswith("num_batches_tracked"):
            assert (name in report.missing) == kept
            assert (name in report.loaded) != kept


def test_deeplab_wants_its_own_names():
    net = small(stages=1)
    with pytest.raises(ValueError, match=r"multi-scale DeepLab file .* got conv1.weight"):
        load_deeplab(net, random_state(net))
    with pytest.raises(ValueError, match="got an empty file"):
        load_deeplab(net, {})


def test_deeplab_needs_the_published_stride():
    net = small("resnet50", stages=1, stride_on="3x3")
    with pytest.raises(ValueError, match='stride_on="1x1"'):
        load_deeplab(net, deeplab_file(net))


# Values of other kinds


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("conv1.weight", lambda v: v.to(torch.int32), "of another type .conv1.weight torch.int32"),
        ("conv1.weight", lambda v: v.to(torch.bool), "of another type"),
        ("bn1.num_batches_tracked", lambda v: v.double() + 0.5, "another type .bn1.num_batches"),
        ("bn1.running_var", lambda v: -v - 1, "out of range .bn1.running_var"),
        ("conv1.weight", lambda v: v + 1e300, "out of range .conv1.weight"),
    ],
)
@pytest.mark.parametrize("load", [load_strict, load_partial])
def test_values_that_would_change_are_refused(load, name, value, message):
    net = build_network("resnet18", head_width=8)
    state = {**random_state(net), "bn1.num_batches_tracked": torch.tensor(3)}
    before = snapshot(net)
    with pytest.raises(ValueError, match=message):
        load(net, {**state, name: value(state[name])})
    assert_same(net.state_dict(), before)


@pytest.mark.parametrize(
    "prefix", ["module.", "_orig_mod.", "module._orig_mod.", "_orig_mod.module."]
)
def test_prefixes_of_wrappers_are_dropped(prefix):
    net = small()
    state = random_state(net)
    load_strict(net, {prefix + name: value for name, value in state.items()})
    assert all(torch.equal(net.state_dict()[name], value) for name, value in state.items())


def test_two_entries_of_one_name_are_refused():
    net = small()
    state = random_state(net)
    with pytest.raises(ValueError, match="entries have the same name but for"):
        load_strict(net, {**state, "module.conv1.weight": state["conv1.weight"] + 1})
