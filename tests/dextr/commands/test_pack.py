import hashlib
import json

import pytest
import torch
from safetensors import safe_open

from dextr.__main__ import main
from dextr.weights.load import load_network, save_network


def test_pack_keeps_the_network_and_its_origin(tmp_path, capsys):
    source, packed = tmp_path / "weights.safetensors", tmp_path / "small.safetensors"
    loaded = load_network("untrained")
    origin = {"steps": 7, "config": {"lr": 0.5}}
    save_network(source, loaded.network, size=256, relax=50, threshold=0.8, origin=origin)
    assert main(["pack", str(source), str(packed), "--threshold", "0.6", "--note", "made"]) == 0
    assert hashlib.sha256(packed.read_bytes()).hexdigest() in capsys.readouterr().out
    assert packed.stat().st_size < 0.6 * source.stat().st_size
    with safe_open(packed, "pt") as file:
        about = json.loads(file.metadata()["dextr"])
    assert about["origin"] == {"steps": 7, "config": {"lr": 0.5}, "note": "made"}
    again = load_network(packed)
    assert (again.about.size, again.about.relax, again.about.threshold) == (256, 50, 0.6)
    for name, value in again.network.state_dict().items():
        torch.testing.assert_close(value, loaded.network.state_dict()[name], rtol=1e-3, atol=1e-7)


def test_a_bad_threshold_writes_nothing(tmp_path, capsys):
    out = tmp_path / "small.safetensors"
    with pytest.raises(SystemExit):
        main(["pack", "untrained", str(out), "--threshold", "7"])
    assert "--threshold: expected a number from 0 to 1, got '7'" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(("flags", "relax"), [([], 50), (["--relax", "0"], 0)])
def test_another_margin_can_be_said(tmp_path, flags, relax):
    packed = tmp_path / "packed.safetensors"
    assert main(["pack", "untrained", str(packed), *flags]) == 0
    assert load_network(packed).about.relax == relax


@pytest.mark.parametrize(("flags", "mirror"), [([], False), (["--mirror"], True)])
def test_the_mirror_image_is_used_when_asked_for(tmp_path, flags, mirror):
    packed = tmp_path / "packed.safetensors"
    assert main(["pack", "untrained", str(packed), *flags]) == 0
    assert load_network(packed).network.config.mirror == mirror
    again = tmp_path / "again.safetensors"
    assert main(["pack", str(packed), str(again)]) == 0
    assert load_network(again).network.config.mirror == mirror
