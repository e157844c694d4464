"""Exported files: what they hold, that they answer as the network does, and which are refused."""

import copy
import json
import pickle
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from support.exported import VARIANTS, inputs, small_loaded

from dextr.export.onnx_file import export
from dextr.predictor import Predictor
from dextr.weights.exported import ExportedNetwork, read_exported, refuse_old_export
from dextr.weights.initialize import initialize
from dextr.weights.load import load_network, load_predictor
from dextr.weights.state_files import METADATA_KEY

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A file and the network it was made of."""
    loaded = small_loaded(stages=3, output_stride=16, skips=2)
    path = tmp_path_factory.mktemp("exported") / "x.onnx"
    export(loaded, path, check=False)
    return path, loaded


def logits_of(network, x):
    with torch.inference_mode():
        return network(x)


def assert_alike(run, loaded):
    for count in (1, 3):
        expected = logits_of(loaded.network, inputs(count))
        assert expected.std() > 0.01
        torch.testing.assert_close(logits_of(run, inputs(count)), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", VARIANTS)
def test_answers_as_the_network_does(tmp_path, name):
    loaded, path = small_loaded(**VARIANTS[name]), tmp_path / "x.onnx"
    export(loaded, path, check=False)
    assert_alike(read_exported(path), loaded)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda n: pickle.loads(pickle.dumps(n))])
def test_can_be_copied_and_sent_to_other_processes(written, copied):
    network = read_exported(written[0])
    again = copied(copied(network))
    assert again.about == network.about
    torch.testing.assert_close(again(inputs(2)), network(inputs(2)), rtol=0, atol=0)


def test_several_threads_may_ask_at_once(written):
    network = read_exported(written[0])
    with ThreadPoolExecutor(4) as pool:
        several = list(pool.map(network, [inputs(1, seed) for seed in range(8)]))
    for seed, logits in enumerate(several):
        torch.testing.assert_close(logits, network(inputs(1, seed)))


@pytest.mark.parametrize(("batch", "count"), [(1, 3), (2, 3), (2, 2), (4, 1)])
def test_fixed_batch_takes_any_number(tmp_path, batch, count):
    loaded = small_loaded()
    export(loaded, tmp_path / "x.onnx", batch, check=False)
    (shape,) = {str(i.type.tensor_type.shape) for i in onnx.load(tmp_path / "x.onnx").graph.input}
    assert f"dim_value: {batch}" in shape
    network = read_exported(tmp_path / "x.onnx")
    assert network.batch == batch
    got = logits_of(network, inputs(count))
    torch.testing.assert_close(got, logits_of(loaded.network, inputs(count)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("batch", "count", "calls"), [(None, 3, [3]), (2, 3, [2, 2]), (4, 1, [4])])
def test_what_the_runtime_is_given(batch, count, calls):
    seen = []

    def run(x):
        seen.append(len(x))
        return x[:, :1] + 1

    x = inputs(count)
    assert torch.equal(ExportedNetwork(run, small_loaded().about, batch)(x), x[:, :1] + 1)
    assert seen == calls


@pytest.mark.parametrize("shape", [(1, 3, 64, 64), (1, 4, 64, 32), (1, 4, 128, 128)])
def test_other_shapes_are_refused(written, shape):
    with pytest.raises(ValueError, match=r"takes \(N, 4, 64, 64\), got \(1, "):
        read_exported(written[0])(torch.zeros(shape))


def metadata_in(path):
    """Read the description as another program would."""
    properties = {entry.key: entry.value for entry in onnx.load(path).metadata_props}
    return json.loads(properties[METADATA_KEY])


def test_file_says_all_that_is_needed(written):
    path, loaded = written
    assert metadata_in(path) == {
        "format": 1,
        "network": loaded.network.config.to_dict(),
        "size": 64,
        "relax": 20,
        "threshold": 0.5,
        "origin": {"note": "made"},
        "pieces": 0.0,
        "weights": {"name": "untrained", "sha256": None, "trained": True},
    }


def test_loads_by_name_of_file(written):
    path, loaded = written
    again = load_network(path)
    assert (again.about.size, again.about.relax, again.about.threshold) == (64, 20, 0.5)
    assert (again.name, again.trained, again.about.origin) == (str(path), True, {"note": "made"})
    with pytest.raises(ValueError, match="is an exported network: give the weights"):
        _ = again.layers
    assert again.digest() != loaded.digest()
    predictor = load_predictor(path, "cpu")
    image = inputs(1)[0, :3].byte().numpy().transpose(1, 2, 0)
    points = [(10, 30), (50, 30), (30, 5), (30, 55)]
    plain = Predictor(loaded.network, size=64, relax=20, threshold=0.5)
    several = [points, [(2, 9), (30, 9), (9, 2), (9, 30)]] * 3
    for a, b in zip(
        predictor.predict_many(image, several), plain.predict_many(image, several), strict=True
    ):
        assert abs(a.prob - b.prob).max() < 1e-5
    assert a.mask.any()


# Refused


def onnx_file(**metadata):
    """Another's network: y = -x."""
    shape = ["n", 4, 64, 64]
    values = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name in ("input", "logits")
    ]
    node = onnx.helper.make_node("Neg", ["input"], ["logits"])
    graph = onnx.helper.make_graph([node], "g", values[:1], values[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    model.ir_version = 8
    onnx.helper.set_model_props(model, metadata)
    return model.SerializeToString()


ABOUT = {"format": 1, "network": {}, "size": 64, "relax": 20, "threshold": 0.5}
NAMED = {"name": "x", "sha256": None, "trained": True}


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.onnx", b"", "damaged, or no ONNX file"),
        ("a.onnx", b"<html>", "damaged, or no ONNX file"),
        ("a.onnx", lambda: onnx_file()[:40], "damaged, or no ONNX file"),
        ("a.onnx", onnx_file, "not a DEXTR network"),
        ("a.onnx", lambda: onnx_file(dextr="{"), "its description is not understood"),
        ("a.onnx", lambda: onnx_file(dextr="[" * 100_000), "its description is not understood"),
        ("a.onnx", lambda: onnx_file(dextr="[]"), "its description is not understood"),
        ("a.onnx", lambda: onnx_file(dextr=json.dumps(ABOUT)), "does not say whether"),
        (
            "a.onnx",
            lambda: onnx_file(dextr=json.dumps({**ABOUT, "weights": {"name": "x"}})),
            "does not say whether its weights are trained",
        ),
        (
            "a.onnx",
            lambda: onnx_file(dextr=json.dumps({**ABOUT, "size": 128, "weights": NAMED})),
            "it takes crops of 64, but says 128",
        ),
    ],
)
def test_wrong_files(tmp_path, monkeypatch, capsys, name, content, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content())
    with pytest.raises(ValueError, match=rf"{name}: .*{message}") as caught:
        load_network(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert capsys.readouterr().out == ""
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_truncated_file_of_ours(tmp_path, written):
    path = tmp_path / written[0].name
    content = written[0].read_bytes()
    for length in (len(content) // 3, len(content) - 100):
        path.write_bytes(content[:length])
        with pytest.raises(ValueError, match="damaged, or no "):
            read_exported(path)


def test_missing_file(tmp_path):
    with pytest.raises(ValueError, match=r"x\.onnx: no such exported file"):
        read_exported(tmp_path / "x.onnx")


def test_missing_runtime(tmp_path, monkeypatch):
    (tmp_path / "x.onnx").write_bytes(onnx_file())
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match=r"x\.onnx: .*pip install onnxruntime"):
        load_network(tmp_path / "x.onnx")


@pytest.mark.parametrize("there", [True, False])
@pytest.mark.parametrize("read", [load_network, lambda name: initialize(None, name)])
def test_torchscript_files_are_told_of_onnx(tmp_path, monkeypatch, there, read):
    monkeypatch.chdir(tmp_path)
    if there:
        (tmp_path / "x.torchscript").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"^(.*: )?x.torchscript: TorchScript .* ONNX") as caught:
        read("x.torchscript")
    assert "\n" not in str(caught.value)
    assert "python -m dextr export" in str(caught.value)


def test_other_names_are_not_refused():
    refuse_old_export("torchscript.onnx")
