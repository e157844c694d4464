"""Weights files: what is in them comes back, and nothing in them is run."""

import hashlib
import json
import pickle
import zipfile

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from dextr.common import tensor_files
from dextr.weights.content import Content
from dextr.weights.state_files import Description, read_state, write_state
from networks import NetworkConfig

STATE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.steps": torch.tensor(3)}
ABOUT = Description(NetworkConfig("resnet18", stages=2), 64, 10, 0.7, {"from": "a test"})
W = torch.ones(3)


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def assert_state(found, expected=STATE):
    assert found.keys() == expected.keys()
    for name, value in expected.items():
        assert torch.equal(found[name], value), name


def checkpoint(**changes):
    content = {**ABOUT.to_dict(), "weights": STATE, "ema": None, "epoch": 3, "step": 99}
    return content | changes


def test_own_format_keeps_tensors_and_description(tmp_path):
    path = tmp_path / "folder" / "x.safetensors"
    write_state(path, {"t": torch.arange(6.0).reshape(2, 3).T}, ABOUT)
    found = read_state(path)
    assert torch.equal(found.state["t"], torch.arange(6.0).reshape(2, 3).T)
    assert found.description == ABOUT


def test_failed_write_keeps_the_old_file(tmp_path):
    path = tmp_path / "x.safetensors"
    write_state(path, STATE, ABOUT)
    shared = torch.zeros(3)
    with pytest.raises(RuntimeError, match="share memory"):
        write_state(path, {"a": shared, "b": shared}, ABOUT)
    assert_state(read_state(path).state)
    assert [p.name for p in tmp_path.iterdir()] == ["x.safetensors"]


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".npz", ".safetensors"])
def test_plain_state(tmp_path, suffix):
    path = tmp_path / f"x{suffix}"
    if suffix == ".npz":
        np.savez(path, **{k: v.numpy() for k, v in STATE.items()})
    elif suffix == ".safetensors":
        save_file(STATE, path)
    else:
        torch.save(STATE, path)
    found = read_state(path)
    assert_state(found.state)
    assert found.description is None


def test_state_of_a_module_in_the_format_of_2018(tmp_path):
    path = tmp_path / "x.pth"
    state = torch.nn.BatchNorm2d(3).state_dict()
    torch.save(state, path, _use_new_zipfile_serialization=False)
    assert_state(read_state(path).state, state)


@pytest.mark.parametrize("name", ["x.pth", "x.pt", "x.pth.tar", "model.best.pth.tar"])
@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "model"])
def test_checkpoints_of_others_are_unwrapped(tmp_path, name, wrapper):
    torch.save({"epoch": 3, wrapper: STATE, "optimizer": {"lr": 1}}, tmp_path / name)
    found = read_state(tmp_path / name)
    assert_state(found.state)
    assert found.description is None


@pytest.mark.parametrize("suffix", [".pth", ".npz"])
def test_an_archive_that_unpacks_to_more_than_weights_is_not_unpacked(
    tmp_path, suffix, monkeypatch
):
    path = tmp_path / f"x{suffix}"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", bytes(10**6))
    monkeypatch.setattr(tensor_files, "MOST_BYTES", 10**5)
    with pytest.raises(ValueError, match=r"it unpacks to 1,000,000 bytes, more than any weights"):
        read_state(path)


def test_the_hash_is_of_the_bytes_that_were_read(tmp_path, monkeypatch):
    path = tmp_path / "x.safetensors"
    write_state(path, STATE, ABOUT)
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    content = Content.read(path)
    path.write_bytes(b"something else by now")
    found = read_state(content)
    assert_state(found.state)
    assert found.sha256 == expected


@pytest.mark.parametrize("averaged", [None, {"a": torch.ones(2)}])
def test_training_checkpoint(tmp_path, averaged):
    path = tmp_path / "x.pth"
    torch.save(checkpoint(ema=averaged), path)
    found = read_state(path)
    assert_state(found.state, averaged or STATE)
    assert found.description.network == ABOUT.network
    assert found.description.size == 64
    assert found.description.origin == ABOUT.origin


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".npz", ".safetensors"])
@pytest.mark.parametrize("legacy", [False, True])
def test_code_in_a_file_is_refused_and_not_run(tmp_path, suffix, legacy):
    path, witness = tmp_path / f"x{suffix}", tmp_path / "was-run"
    content = {"a": torch.zeros(1), "b": Bomb(witness)}
    if suffix == ".npz":
        np.savez(path, a=np.array([Bomb(witness)], dtype=object))
    elif suffix == ".safetensors":
        path.write_bytes(pickle.dumps(content))
    else:
        torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    with pytest.raises(ValueError, match=r"x\.\w+: (refused|damaged)"):
        read_state(path)
    assert not witness.exists()


def test_refusal_names_the_object_and_gives_no_dangerous_advice(tmp_path):
    path = tmp_path / "x.pth"
    torch.save({"b": Bomb(tmp_path / "was-run")}, path)
    with pytest.raises(ValueError, match=r"refused: it holds \w+\.open") as caught:
        read_state(path)
    assert "weights_only" not in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "expected a state dictionary, got list"),
        ({"a": 1}, "expected tensors by name, got int under 'a'"),
        ({1: torch.zeros(1)}, "expected tensors by name, got Tensor under 1"),
        ({"a": torch.tensor([1.0, float("nan")])}, "a holds values that are not finite"),
        ({"a": torch.tensor([float("inf")])}, "a holds values that are not finite"),
        ({"weights": [1]}, "expected a state dictionary, got list"),
        ({"weights": STATE}, "expected format 1, got None"),
        (checkpoint(format=2), "expected format 1, got 2: is the file from a newer version"),
        (checkpoint(ema=torch.ones(3)), "expected a state dictionary, got Tensor"),
        (checkpoint(format=torch.ones(3)), "expected format 1, got Tensor"),
        (checkpoint(format=True), "expected format 1, got True"),
        (checkpoint(size=torch.tensor(64)), "description is not understood .*Tensor"),
        (checkpoint(network={"backbone": W, "stages": W}), "not understood .*Tensor"),
        (checkpoint(size=20_000), "size must be a whole number from 16 to 2048, got 20000"),
        (checkpoint(relax=100_000), "expected a margin as .*; got 100000"),
        (checkpoint(relax={"pixels": 9999, "share": 0.1}), "expected a margin as"),
        (checkpoint(relax={"pixels": 9, "share": 2.0}), "expected a margin as"),
        (checkpoint(size=None), "size must be a whole number from 16 to 2048, got None"),
        (checkpoint(relax=-1), "expected a margin as .*; got -1"),
        (checkpoint(threshold=1.5), r"expected a threshold in 0\.\.1, got 1\.5"),
        (checkpoint(threshold=float("nan")), r"expected a threshold in 0\.\.1, got nan"),
        (checkpoint(network={"backbone": "vgg"}), "backbone must be one of .* got 'vgg'"),
        (checkpoint(network={"depth": 3}), "description is not understood .*depth"),
        (checkpoint(network=None), "description is not understood"),
        ({k: v for k, v in checkpoint().items() if k != "size"}, "description lacks 'size'"),
    ],
)
def test_wrong_content_is_named(tmp_path, content, message):
    path = tmp_path / "x.pth"
    torch.save(content, path)
    with pytest.raises(ValueError, match=rf"x\.pth: .*{message}"):
        read_state(path)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expecting value"),
        ("[]", "description is not understood"),
        ("[" * 100_000, "description is not understood"),
        ("{}", "expected format 1"),
        (json.dumps({**ABOUT.to_dict(), "size": "64"}), "size must be a whole number"),
        (json.dumps({**ABOUT.to_dict(), "origin": 3}), "description is not understood"),
    ],
)
def test_wrong_description_in_the_header(tmp_path, text, message):
    path = tmp_path / "x.safetensors"
    save_file(STATE, path, {"dextr": text})
    with pytest.raises(ValueError, match=rf"x\.safetensors: .*{message}"):
        read_state(path)


def test_what_is_wrong_with_a_file_is_said_in_few_words(tmp_path):
    path = tmp_path / "x.npz"
    np.savez(path, weight=np.zeros(2000, np.float32))
    content = bytearray(path.read_bytes())
    content[27] = 16  # a name of 4096 bytes more, in the archive's first entry
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.npz: damaged") as raised:
        read_state(path)
    assert len(str(raised.value).removeprefix(str(path))) < 300


def test_missing_file_folder_and_unknown_kind(tmp_path):
    with pytest.raises(ValueError, match=r"x\.pth: no such weights file"):
        read_state(tmp_path / "x.pth")
    (tmp_path / "folder.pth").mkdir()
    with pytest.raises(ValueError, match=r"folder\.pth: no such weights file"):
        read_state(tmp_path / "folder.pth")
    with pytest.raises(ValueError, match=r"x\.txt: expected a weights file \(.safetensors, "):
        read_state(tmp_path / "x.txt")


def test_npz_of_text(tmp_path):
    path = tmp_path / "x.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "no array")
    with pytest.raises(ValueError, match=r"x\.npz: damaged, or holds more than arrays"):
        read_state(path)


@settings(max_examples=60, deadline=None)
@given(data=st.data(), suffix=st.sampled_from([".pth", ".npz", ".safetensors"]))
def test_damaged_files_end_in_one_error(tmp_path_factory, data, suffix):
    folder = tmp_path_factory.mktemp("damaged")
    path = folder / f"x{suffix}"
    if suffix == ".npz":
        np.savez(path, a=np.arange(4.0))
    elif suffix == ".safetensors":
        write_state(path, STATE, ABOUT)
    else:
        torch.save(STATE, path)
    content = bytearray(path.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        for _ in range(data.draw(st.integers(1, 5))):
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(content)
    message, state = str(path), {}
    try:
        state = read_state(path).state
    except ValueError as error:
        message = str(error)
    assert message.startswith(str(path))
    assert all(isinstance(value, torch.Tensor) for value in state.values())


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ({}, {}),
        (
            {"config": {"voc_root": "/a", "init": "/b", "seed": 1, "lr": 2}, "steps": 3},
            {"config": {"lr": 2}, "steps": 3},
        ),
        ({"config": "free text"}, {"config": "free text"}),
    ],
)
def test_what_earlier_versions_said_of_folders_and_machine_is_left_out(origin, expected):
    fields = {"format": 1, "network": {}, "size": 64, "relax": 9, "threshold": 0.7}
    assert Description.from_dict({**fields, "origin": origin}).origin == expected
