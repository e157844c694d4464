import pytest
import torch

from dextr.devices import pick_device


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_devices_that_are_not_there(device):
    with pytest.raises(ValueError, match=f"no device '{device}'"):
        pick_device(device)
    assert pick_device("cpu") == torch.device("cpu")


def test_without_a_wish_a_gpu_is_taken_if_there_is_one(monkeypatch):
    for there, expected in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert pick_device() == torch.device(expected)
