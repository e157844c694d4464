"""What each of two processes does for tests/dextr/common/test_processes.py.

The first argument is the folder for the results, the rest go to train_pascal.py.
"""

import sys
from contextlib import nullcontext
from pathlib import Path

import torch
from support.tiny import part_of, plain_config, tiny_batch, tiny_state

import train_pascal
from dataloaders.shapes import ShapesInstances
from dextr.common.processes import World, join
from dextr.evaluation.mask_sources import NetworkMasks
from dextr.evaluation.protocol import EvaluationSettings
from dextr.evaluation.scoring import score
from dextr.predictor import Predictor
from dextr.training.step import train_step
from dextr.training.trainer import shared


def one_step(sizes, world, **options):
    """Loss and state after a step over batches of these sizes, split between the processes."""
    config = plain_config(lr=1e-3, **options)
    state = tiny_state(config)
    model = shared(state.network, world).train()
    group = []
    for seed, size in enumerate(sizes):
        rows = torch.arange(size).tensor_split(world.size)[world.rank].tolist()
        group.append(part_of(tiny_batch(size, seed), rows))
    loss = world.sum(train_step(state, model, group, config, world))
    gradients = {k: p.grad for k, p in state.network.named_parameters() if p.requires_grad}
    return {"loss": loss, "gradients": gradients, "state": state.network.state_dict()}


def scores(world):
    predictor = Predictor(tiny_state(plain_config()).network.float(), size=32, batch_size=2)
    source = NetworkMasks(predictor, ShapesInstances(7), EvaluationSettings())
    found, taken = score(source, range(7), world, lambda mask: int(mask.mask.sum()))
    return [(s.row, s.intersection, s.union, size) for s, size in zip(found, taken, strict=True)]


def failure_of_main(world):
    """The ValueError or OSError that every process gets of one in the first."""

    def fail():
        raise OSError(28, "No space left on device")

    try:
        world.on_main(fail)
    except (ValueError, OSError) as error:
        return str(error)
    return None


def main():
    out = Path(sys.argv[1])
    cases = {
        "uneven": ([5], {}),
        "void": ([5], {"void": "ignore"}),
        "mean": ([3], {"loss_reduction": "mean"}),
        "accumulated": ([4, 5], {}),
        "one object": ([1], {}),
        "clipped": ([5], {"clip_norm": 0.01}),
    }
    with join("cpu") as world:
        alone = World(0, 1, world.device)
        results = {
            name: (one_step(sizes, world, **options), one_step(sizes, alone, **options))
            for name, (sizes, options) in cases.items()
        }
        exchanged = {
            "gathered": world.gather(world.rank),
            "from main": world.from_main(world.rank),
            "done by main": world.on_main(lambda: world.rank + 5),
            "failure of main": failure_of_main(world),
            "summed": world.sum(torch.tensor([1, world.rank])).tolist(),
            "scores": (scores(world), scores(alone)),
        }
        torch.save({"steps": results, "exchanged": exchanged}, out / f"rank{world.rank}.pt")
        # These processes have joined already.
        train_pascal.join = lambda device: nullcontext(world)
        train_pascal.main(sys.argv[2:])


if __name__ == "__main__":
    main()
