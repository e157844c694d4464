from dataclasses import fields

import pytest

from dataloaders.crops.sources import SourceConfig
from dataloaders.crops.transforms import TransformConfig
from dextr.training.config import DEMONSTRATION, ModelConfig, OptimConfig, RunConfig
from dextr.training.options import build
from networks import NetworkConfig

GROUPS = (SourceConfig, ModelConfig, TransformConfig, OptimConfig, RunConfig)


def test_every_option_exists_once_and_has_help():
    names = [spec.name for cls in GROUPS for spec in fields(cls)]
    assert len(names) == len(set(names))
    assert all(spec.metadata["help"] for cls in GROUPS for spec in fields(cls))


def test_defaults_are_the_papers_protocol():
    model, optim, run = ModelConfig(), OptimConfig(), RunConfig()
    assert model.network() == NetworkConfig("resnet101", "psp", stride_on="1x1")
    assert (model.init, model.batch_norm) == ("deeplab", "batch")
    assert (optim.epochs, optim.batch_size, optim.momentum) == (100, 5, 0.9)
    assert (optim.lr, optim.lr * optim.head_lr_factor) == (1e-8, pytest.approx(1e-7))
    assert (optim.weight_decay, optim.schedule, optim.void) == (5e-4, "constant", "background")
    assert (run.eval_every, run.snapshot_every) == (10, 20)
    transform = TransformConfig()
    assert (transform.size, transform.relax, transform.pert) == (512, 50, 5)


def test_every_layer_option_can_be_set():
    offered = {spec.name for spec in fields(ModelConfig)}
    assert {spec.name for spec in fields(NetworkConfig)} <= offered
    small = ModelConfig("resnet18", head_width=8, stages=2, output_stride=16, skips=1, init="none")
    assert small.network() == NetworkConfig("resnet18", "psp", 4, "1x1", 8, 2, 16, 1)


@pytest.mark.parametrize(
    ("init", "asked", "stride"),
    [
        ("imagenet", "auto", "3x3"),
        ("imagenet:file.npz", "auto", "3x3"),
        ("deeplab:file.pth", "auto", "1x1"),
        ("none", "auto", "1x1"),
        ("imagenet", "1x1", "1x1"),
        ("none", "3x3", "3x3"),
    ],
)
def test_stride_follows_the_initial_weights(init, asked, stride):
    assert ModelConfig(init=init, stride_on=asked).network().stride_on == stride


@pytest.mark.parametrize(
    ("cls", "values", "words"),
    [
        (OptimConfig, {"epochs": 0}, "--epochs: expected a whole number of 1 or more, got 0"),
        (OptimConfig, {"lr": float("nan")}, "--lr"),
        (OptimConfig, {"ema": 1.0}, "--ema"),
        (RunConfig, {"log_every": 0}, "--log-every"),
        (SourceConfig, {"val_fraction": 1.0}, "--val-fraction"),
        (SourceConfig, {"coco_root": ("a", "b"), "coco_annotations": ("c",)}, "got 1 and 2"),
    ],
)
def test_impossible_values_are_refused(cls, values, words):
    with pytest.raises(ValueError, match=words):
        build({"group": cls}, values)


def test_sources_know_when_there_are_none():
    assert SourceConfig(val_fraction=0.5).empty
    assert not SourceConfig(shapes=1).empty
    assert not SourceConfig(folder=("a",)).empty


def test_the_demonstration_sets_options_that_exist():
    assert set(DEMONSTRATION) <= {spec.name for cls in GROUPS for spec in fields(cls)}


def test_what_says_something_of_the_machine_is_private():
    private = {s.name for cls in GROUPS for s in fields(cls) if s.metadata.get("private")}
    assert private == {s.name for cls in (SourceConfig, RunConfig) for s in fields(cls)} | {"init"}
