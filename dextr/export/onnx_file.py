"""A network as an ONNX file, checked against the network.

It is traced. PyTorch's newer exporter, on top of torch.export, was tried and left: it takes ten
times as long and needs one more package, for the same graph.
"""

from __future__ import annotations

import inspect
import json
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from tqdm import tqdm

from dextr.common.example_photos import OBJECTS, example_scene, made_scene
from dextr.common.files import replacing
from dextr.export.agreement import Agreement, agreement_table, answer, compare
from dextr.export.pooling import pool_by_matrices
from dextr.export.quantize import quantize
from dextr.weights import LoadedNetwork
from dextr.weights.exported import INPUT, OUTPUT, import_package, read_exported
from dextr.weights.state_files import METADATA_KEY, Description
from networks.inference import for_inference

OPSET = 18
# Photos with three objects each: the check fills a batch of three.
CHECKED = ("coffee", "astronaut")
BATCHES = (1, 3)


class ParityError(Exception):
    """An exported network answers otherwise than the one it was made of."""


def export(
    loaded: LoadedNetwork,
    path: Path,
    batch: int | None = None,
    int8: bool = False,
    check: bool = True,
) -> list[Agreement]:
    """Write a network to a file; the old one stays whole until the new one is checked.

    Args:
        loaded: The network.
        path: The file.
        batch: The only batch it takes; None is any.
        int8: Weights and values in 8 bits, in ranges measured on the example photos.
        check: Compare it with the network.

    Returns:
        The comparisons.

    Raises:
        ParityError: They came out badly; nothing is written.
        ValueError: A package is missing, or the network is an exported one already.
    """
    onnx = import_package("onnx")
    small = pool_by_matrices(for_inference(loaded.layers))
    with replacing(path) as temporary:
        _trace(small, loaded.about, temporary, batch)
        if int8:
            quantize(temporary, _calibration_inputs(loaded.about), batch or 1)
        model = onnx.load(temporary)
        weights = {
            "name": Path(loaded.name).name,
            "sha256": loaded.sha256,
            "trained": loaded.trained,
        }
        about = json.dumps({**loaded.about.to_dict(), "weights": weights})
        onnx.helper.set_model_props(model, {METADATA_KEY: about})
        onnx.save(model, temporary)
        rows = _agreement(loaded, temporary, batch, exact=not int8) if check else []
        if not all(row.good for row in rows):
            raise ParityError(
                f"{path} is not written: it does not answer as the network does\n"
                f"{agreement_table(rows)}"
            )
    return rows


def _trace(network: nn.Module, about: Description, path: Path, batch: int | None) -> None:
    channels, size = about.network.in_channels, about.size
    # Where there is a choice, the exporter that traces.
    choice = "dynamo" in inspect.signature(torch.onnx.export).parameters
    tracing: dict[str, Any] = {"dynamo": False} if choice else {}
    with warnings.catch_warnings():
        # That tracing is not PyTorch's newest way, and that sizes are fixed in the trace.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (torch.zeros(batch or 1, channels, size, size),),
            str(path),
            input_names=[INPUT],
            output_names=[OUTPUT],
            dynamic_axes={} if batch else {INPUT: {0: "batch"}, OUTPUT: {0: "batch"}},
            opset_version=OPSET,
            **tracing,
        )


def _agreement(
    loaded: LoadedNetwork, path: Path, batch: int | None, exact: bool
) -> list[Agreement]:
    exported = read_exported(path)
    scenes = [example_scene(name) for name in CHECKED]
    if exact:
        # In 8 bits noise proves nothing: it leaves the ranges that photos have.
        scenes.append(made_scene())
    rows = []
    for scene in tqdm(scenes, "check", unit="photo", leave=False, disable=None):
        expected = answer(loaded.layers, loaded.about, scene)
        for size in [batch] if batch else BATCHES:
            got = answer(exported, loaded.about, scene, size)
            rows.append(compare(scene, expected, got, size, exact))
    return rows


def _calibration_inputs(about: Description) -> Iterator[NDArray[np.float32]]:
    for name in tqdm(OBJECTS, "calibrate", unit="photo", leave=False, disable=None):
        # Only the inputs count: a channel takes the network's place.
        for inputs in answer(lambda x: x[:, :1], about, example_scene(name)).inputs:
            yield inputs if not about.network.looks_twice else _with_mask(inputs)


def _with_mask(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the input (4, S, S) as a second look might see it: the clicks' box as the mask."""
    mask = np.zeros_like(inputs[:1])
    rows, columns = np.nonzero(inputs[3] > inputs[3].max() / 2)
    mask[:, rows.min() : rows.max() + 1, columns.min() : columns.max() + 1] = 255
    return np.concatenate([inputs, mask])
