from types import SimpleNamespace

import pytest
import torch
from support.tiny import tiny_network

from dataloaders.shapes import ShapesInstances
from dextr.common.processes import World
from dextr.training.trainer import Trainer, shared


def test_one_process_trains_the_network_itself():
    network = tiny_network()
    assert shared(network, World(0, 1, torch.device("cpu"))) is network


@pytest.mark.parametrize(
    ("best", "best_of", "limit", "ious", "kept"),
    [
        (None, None, 0, [0.5] * 4, 0.5),  # the first
        (0.6, 4, 0, [0.5] * 4, None),
        (0.4, 4, 0, [0.5] * 4, 0.5),
        # Rows 0 and 2 are what the evaluations between epochs see: the last one is no worse there.
        (0.6, 2, 2, [0.9, 0.0, 0.5, 0.0], 0.7),
        (0.8, 2, 2, [0.9, 1.0, 0.5, 1.0], None),
        (0.6, 2, 2, [0.9, 0.5], 0.7),
        (0.9, 2, 0, [0.5] * 4, 0.5),  # another limit: nothing to compare with
        (0.9, None, 0, [0.5] * 4, None),  # an earlier version's
    ],
)
def test_the_best_network_is_so_on_the_same_objects(monkeypatch, best, best_of, limit, ious, kept):
    monkeypatch.setattr(
        "dextr.training.trainer.summarize",
        lambda scores, names: SimpleNamespace(mean_iou=sum(scores) / len(scores)),
    )
    some = object.__new__(Trainer)
    some.state = SimpleNamespace(best=best, best_of=best_of)
    some.run = SimpleNamespace(eval_limit=limit)
    some.validation = ShapesInstances(4)
    saved = []
    monkeypatch.setattr(Trainer, "save_weights", lambda self, name: saved.append(name))
    some._keep_best(ious)
    assert saved == ["best.safetensors"] * (kept is not None)
    assert some.state.best == pytest.approx(best if kept is None else kept)
    if kept is not None:
        assert some.state.best_of == (limit or 4)
