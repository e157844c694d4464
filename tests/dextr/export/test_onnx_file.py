import numpy as np
import pytest
from support.exported import small_loaded

from dextr.common.example_photos import example_scene
from dextr.export.agreement import answer
from dextr.export.onnx_file import export
from dextr.weights import load_network
from dextr.weights.exported import read_exported
from dextr.weights.state_files import METADATA_KEY

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


@pytest.mark.parametrize(("batch", "channels"), [(None, 4), (2, 4), (None, 5)])
def test_int8_answers_nearly_alike(tmp_path, batch, channels):
    loaded = small_loaded(in_channels=channels)
    path = tmp_path / "x.onnx"
    # Random values make much of a mask that they never see here.
    rows = export(loaded, path, batch, int8=True, check=channels == 4)
    assert {row.exact for row in rows} <= {False}
    model = onnx.load(path)
    kinds = [node.op_type for node in model.graph.node]
    assert kinds.count("QuantizeLinear") > 10
    assert METADATA_KEY in {entry.key for entry in model.metadata_props}
    weights = {w.name: w.data_type for w in model.graph.initializer}
    assert sum(kind == onnx.TensorProto.INT8 for kind in weights.values()) > 10
    scene = example_scene("astronaut")
    expected = answer(loaded.network, loaded.about, scene).logits
    difference = answer(read_exported(path), loaded.about, scene).logits - expected
    assert 0 < difference.std() < 0.3 * expected.std()


def test_a_network_that_looks_twice_looks_twice_there_too(tmp_path):
    loaded = small_loaded(in_channels=5)
    path = tmp_path / "x.onnx"
    export(loaded, path, check=False)
    scene = example_scene("astronaut")
    points = [*scene.objects[0], scene.objects[0].mean(axis=0)]
    exported, own = (load_network(path).predictor(), loaded.predictor())
    for clicks in (points[:4], points):
        expected = own.predict(scene.image, clicks).logits
        found = exported.predict(scene.image, clicks).logits
        np.testing.assert_allclose(found, expected, atol=1e-3)
