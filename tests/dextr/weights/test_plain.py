"""What calls itself a tensor, and values that are none JSON has."""

import warnings

import pytest
import torch

from dextr.weights.plain import plain_tensors, require_plain
from dextr.weights.state_files import read_state

W = torch.arange(6.0).reshape(2, 3)

GOOD = {
    "empty": torch.zeros(0, 3),
    "half": W.half(),
    "bfloat16": W.bfloat16(),
    "double": W.double(),
    "count": torch.tensor(3),
    "bool": W > 2,
    "parameter": torch.nn.Parameter(W.clone()),
    "turned": W.t(),
    "part": torch.arange(100.0)[10:16],
}
# Made late: making them warns.
ODD = {
    "sparse": (lambda: W.to_sparse(), r"sparse one \(torch.sparse_coo\)"),
    "csr": (lambda: W.to_sparse_csr(), "sparse one"),
    "meta": (lambda: W.to("meta"), "without values on the CPU"),
    "nested": (lambda: torch.nested.nested_tensor([W, W]), "nested one"),
    "complex": (lambda: W.to(torch.complex64), "one of torch.complex64"),
    "quantized": (lambda: torch.quantize_per_tensor(W, 0.1, 0, torch.qint8), "one of torch.qint8"),
    "float8": (lambda: W.to(torch.float8_e4m3fn), "one of torch.float8_e4m3fn"),
    "expanded": (lambda: torch.zeros(1).expand(10**5, 10**5), r"10,000,000,000 values in 4 bytes"),
    "not finite": (lambda: W / 0, "values that are not finite"),
    "number": (lambda: 3, "expected tensors by name, got int"),
}


def test_no_entries():
    assert plain_tensors({}) == {}


@pytest.mark.parametrize("kind", GOOD)
def test_plain_tensors_come_through_a_file(tmp_path, kind):
    torch.save({"w": GOOD[kind]}, tmp_path / "x.pth")
    found = read_state(tmp_path / "x.pth").state["w"]
    assert torch.equal(found, GOOD[kind])
    assert type(found) is torch.Tensor


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("kind", ODD)
def test_other_kinds_are_named(tmp_path, kind):
    make, message = ODD[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.save({"w": make()}, tmp_path / "x.pth")
    with pytest.raises(ValueError, match=rf"x\.pth: .*\bw\b.*{message}|{message}") as caught:
        read_state(tmp_path / "x.pth")
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize("value", [None, {}, {"a": [1, 2.5, "x", (True, None)]}])
def test_plain_values(value):
    require_plain(value)


@pytest.mark.parametrize(
    "value", [W, {"a": [W]}, {"a": b"x"}, {(1, W): 2}, object()], ids=lambda v: str(type(v))
)
def test_values_that_are_not_plain(value):
    with pytest.raises(ValueError, match="description is not understood"):
        require_plain(value)


def test_values_nested_too_deep():
    value = []
    for _ in range(100_000):
        value = [value]
    with pytest.raises(ValueError, match="nested more than 20 deep"):
        require_plain(value)
    while value:  # else its end would be recursive, too
        (value,) = value
