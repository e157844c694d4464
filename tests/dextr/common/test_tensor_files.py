import hashlib
import random

import pytest
import torch

from dextr.common.tensor_files import read_tensors, write_tensors


def written(path):
    write_tensors(path, {"weights": torch.arange(2000.0), "step": 7})
    return path.read_bytes()


def test_an_empty_dictionary_comes_back(tmp_path):
    write_tensors(tmp_path / "x.pt", {})
    assert read_tensors(tmp_path / "x.pt") == {}


def test_a_file_is_what_pytorch_writes_and_its_hash(tmp_path):
    path = tmp_path / "x.pt"
    data = written(path)
    body, mark, digest = data[:-72], data[-72:-64], data[-64:]
    assert mark == b"\nsha256:"
    assert digest.decode() == hashlib.sha256(body).hexdigest()
    for found in (read_tensors(path), torch.load(path, weights_only=True)):
        assert torch.equal(found["weights"], torch.arange(2000.0))
        assert found["step"] == 7


def test_files_without_a_checksum_are_read_as_before(tmp_path):
    torch.save({"step": 7}, tmp_path / "old.pt")
    assert read_tensors(tmp_path / "old.pt") == {"step": 7}


def test_no_flipped_bit_goes_unnoticed(tmp_path):
    path = tmp_path / "x.pt"
    data = written(path)
    draw = random.Random(0)
    for _ in range(300):
        place, bit = draw.randrange(len(data)), draw.randrange(8)
        path.write_bytes(data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :])
        with pytest.raises(ValueError, match="damaged"):
            read_tensors(path)


@pytest.mark.parametrize("kept", [0, 1, 72, 73, 4000, -73, -72, -64, -1])
def test_no_cut_goes_unnoticed(tmp_path, kept):
    path = tmp_path / "x.pt"
    path.write_bytes(written(path)[:kept])
    with pytest.raises(ValueError, match="damaged"):
        read_tensors(path)


def test_zeros_in_the_middle_and_bytes_at_the_end_are_noticed(tmp_path):
    path = tmp_path / "x.pt"
    data = written(path)
    for other in (data[:1000] + bytes(4096) + data[5096:], data + b"x", b"x" + data):
        path.write_bytes(other)
        with pytest.raises(ValueError, match="damaged"):
            read_tensors(path)


def test_code_is_not_executed(tmp_path):
    write_tensors(tmp_path / "x.pt", {"trap": print})
    with pytest.raises(ValueError, match="could run code"):
        read_tensors(tmp_path / "x.pt")


def test_a_full_disk_is_an_error_of_the_disk():
    from pathlib import Path

    with pytest.raises(OSError, match="No space left"):
        write_tensors(Path("/dev/full"), {"weights": torch.zeros(10**6)})
