import pytest
import torch
from support.tiny import tiny_batch

from dextr.batch import in_groups, on_device


def test_batches_arrive_as_they_are_in_the_layout_asked_for():
    batches = [tiny_batch(2, seed) for seed in range(3)]
    for channels_last in (False, True):
        moved = list(on_device(iter(batches), torch.device("cpu"), channels_last))
        assert [batch.names for batch in moved] == [batch.names for batch in batches]
        for one, other in zip(moved, batches, strict=True):
            for name in ("inputs", "targets", "voids"):
                assert torch.equal(getattr(one, name), getattr(other, name))
            layout = torch.channels_last if channels_last else torch.contiguous_format
            assert one.inputs.is_contiguous(memory_format=layout)


def test_batches_are_read_when_they_are_asked_for():
    read = []

    def batches():
        for k in range(3):
            read.append(k)
            yield tiny_batch(1, k)

    stream = on_device(batches(), torch.device("cpu"))
    next(stream)
    assert read == [0]


@pytest.mark.parametrize(
    ("items", "size", "groups"),
    [("", 3, []), ("a", 3, ["a"]), ("abc", 3, ["abc"]), ("abcd", 3, ["abc", "d"])],
)
def test_groups(items, size, groups):
    assert ["".join(group) for group in in_groups(items, size)] == groups


@pytest.mark.parametrize("size", [0, -1])
def test_groups_hold_something_as_is_said_at_once(size):
    with pytest.raises(ValueError, match=f"1 or more, got {size}"):
        in_groups("abc", size)
