import pytest
import torch
from torch import nn

from dextr.devices import device_of, pick_device


@pytest.mark.parametrize("device", ["gpu", "cuda:99"])
def test_devices_that_are_not_there(device):
    with pytest.raises(ValueError, match=f"no device '{device}'"):
        pick_device(device)
    assert pick_device("cpu") == torch.device("cpu")


def test_without_a_wish_a_gpu_is_taken_if_there_is_one(monkeypatch):
    for there, expected in ((False, "cpu"), (True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert pick_device() == torch.device(expected)


@pytest.mark.parametrize(
    ("network", "named", "expected"),
    [
        (lambda x: x, None, "cpu"),
        (nn.Identity(), None, "cpu"),
        (nn.Linear(1, 1, device="meta"), None, "meta"),
        (nn.Linear(1, 1, device="meta"), "cpu", "cpu"),
    ],
)
def test_a_network_runs_where_it_is_unless_a_device_is_named(network, named, expected):
    assert device_of(network, named) == torch.device(expected)
