"""Score a network, or masks made elsewhere, on a data set.

Run by torchrun, several processes share the objects; the numbers stay the same.
"""

from __future__ import annotations

import os

if __name__ == "__main__":
    # Before PyTorch is loaded: threads that spin while they wait cost much on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Before Matplotlib is: a notebook's backend, inherited, may not be installed here.
    os.environ.pop("MPLBACKEND", None)

import argparse
from collections.abc import Sequence
from dataclasses import asdict, fields
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from dataloaders.crops.sources import SourceConfig, open_sources
from dataloaders.instances import Instances
from dataloaders.open import DATASETS, open_dataset, with_categories
from dextr.common.cli import UNTRAINED, run
from dextr.common.errors import UserError
from dextr.common.files import write_json
from dextr.common.processes import World, join
from dextr.evaluation.cases import write_page
from dextr.evaluation.coco_ap import Detection, average_precision, detection_of
from dextr.evaluation.mask_folder import MaskFolder
from dextr.evaluation.mask_sources import FolderMasks, MaskSource, NetworkMasks, ScoredMask
from dextr.evaluation.options import parse
from dextr.evaluation.protocol import EvaluationSettings
from dextr.evaluation.refinement import refine, summarize_refinement
from dextr.evaluation.report import as_dict, draw_curve, refinement_table, table
from dextr.evaluation.scoring import evenly_spaced_rows, score
from dextr.evaluation.summary import summarize
from dextr.geometry import plain_relax
from dextr.samples import THRESHOLD
from dextr.training.options import build, read_options
from dextr.weights.load import load_network

SWEEP = tuple(k / 20 for k in range(1, 20))
CURVE = "clicks.png"
RUN = "run"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line."""
    args = parse(argv, (*DATASETS, RUN))
    with join(args.device) as world:
        instances = open_instances(args, world)
        rows = evenly_spaced_rows(len(instances), args.limit or 0)
        source, title, about = mask_source(args, instances, world)
        folder = MaskFolder(args.save_masks) if args.save_masks else None

        def keep(scored: ScoredMask) -> Detection | None:
            if folder:
                folder.write_object(scored.instance, scored.mask)
            return detection_of(scored) if args.dataset == "coco" else None

        if args.clicks:
            rounds, kept = refine(source, rows, world, args.clicks, keep)
        else:
            scores, kept = score(source, rows, world, keep)
            rounds = [scores]
        if not world.main:
            return 0
    names = instances.category_names
    summary = summarize(rounds[0], names)
    detections = [found for found in kept if found]
    precision = average_precision(detections) if detections else None
    refinement = summarize_refinement(rounds) if args.clicks else None
    title = f"{instances.name}: {len(rows)} of {len(instances)} objects, {title}"
    numbers = table(summary, precision)
    if refinement:
        numbers += "\n\n" + refinement_table(refinement)
    print(f"{title}\n\n{numbers}")
    if args.json:
        dataset = {"name": instances.name, "objects": len(instances), "categories": list(names)}
        content = as_dict(summary, rounds[0], {"dataset": dataset, **about}, precision, refinement)
        write_json(args.json, content, indent=1)
    if args.page:
        if refinement:
            draw_curve(Path(args.page) / CURVE, refinement, instances.name)
        pictures = [CURVE] if refinement else []
        page = write_page(args.page, title, numbers, rounds[0], source, names, args.cases, pictures)
        print(f"\nworst and best cases: {page}")
    if folder:
        draw_label_maps(folder, instances, rows)
    return 0


def open_instances(args: argparse.Namespace, world: World) -> Instances:
    """Open the data set that was asked for."""
    if args.dataset is None:
        args.dataset = "shapes"
        if world.main:
            print("no --dataset given: scoring synthetic shapes made on the fly")
    if args.dataset == RUN:
        if args.root is None or args.split is not None or args.annotations is not None:
            raise UserError("run takes a run's folder, --root, and no --split or --annotations")
        kept_out = open_kept_out(args.root)
        return with_categories(kept_out, args.categories) if args.categories else kept_out
    return open_dataset(
        args.dataset, args.root, args.split,
        annotations=args.annotations, categories=args.categories,
        keep_crowd=args.keep_crowd,
    )  # fmt: skip


def open_kept_out(run: str | PathLike[str]) -> Instances:
    """Return the objects that a training run validates on, from the run's folder.

    Raises:
        ValueError: It is no run's folder, or the run kept nothing out.
    """
    file = Path(run) / "config.json"
    if not file.is_file():
        raise UserError(f"{run}: expected a run's folder with config.json")
    values = read_options(file)
    chosen = {k.name: values[k.name] for k in fields(SourceConfig) if k.name in values}
    config = build({"sources": SourceConfig}, chosen, str(file))["sources"]
    validation = open_sources(config, int(values.get("seed", 0)))[1]
    if validation is None:
        raise UserError(f"{run}: the run has no validation objects (--val-fraction keeps some)")
    return validation


def mask_source(
    args: argparse.Namespace, instances: Instances, world: World
) -> tuple[MaskSource, str, dict[str, Any]]:
    """Return where the masks come from, in words too, and what decides their numbers."""
    sweep = SWEEP if args.sweep else ()
    if args.predictions:
        threshold = THRESHOLD if args.threshold is None else args.threshold
        settings = EvaluationSettings(thresholds=(threshold, *sweep))
        folder, labels = MaskFolder(args.predictions), instances.index.label
        masks = FolderMasks(folder, instances, labels, settings, args.workers)
        decides = {"thresholds": settings.thresholds, "boundary": settings.boundary}
        title = f"masks in {args.predictions}, threshold {threshold:g}"
        return masks, title, {"weights": None, "settings": decides}
    loaded = load_network(args.weights)
    if world.main and not loaded.trained:
        print(UNTRAINED)
    predictor = loaded.predictor(
        world.device, size=args.size, relax=args.relax, threshold=args.threshold,
        batch_size=args.batch_size, pieces=args.pieces,
        amp=args.amp if args.amp != "off" else None,
    )  # fmt: skip
    settings = EvaluationSettings(
        points=args.points or "crop",
        noise=args.click_noise or 0,
        protocol=args.protocol or "paper",
        thresholds=(predictor.threshold, *sweep),
        seed=args.seed or 0,
    )
    noise = f" moved by up to {settings.noise:g} px" if settings.noise else ""
    title = (
        f"weights {loaded.name}, crop {predictor.size}, points on the {settings.points}{noise}, "
        f"protocol {settings.protocol}, threshold {predictor.threshold:g}"
    )
    record: dict[str, Any] = asdict(settings)
    record |= {"size": predictor.size, "relax": plain_relax(predictor.relax)}
    record |= {"batch_size": predictor.batch_size, "pieces": predictor.pieces}
    record |= {"device": predictor.device.type, "amp": args.amp or "off"}
    weights = {"name": loaded.name, "sha256": loaded.sha256, "trained": loaded.trained}
    source = NetworkMasks(predictor, instances, settings, args.workers)
    return source, title, {"weights": weights, "settings": record}


def draw_label_maps(folder: MaskFolder, instances: Instances, rows: list[int]) -> None:
    """Write the palette PNG of every image whose objects were saved."""
    index, saved = instances.index, np.asarray(rows)
    for image in np.unique(index.image[saved]):
        own = saved[index.image[saved] == image]
        name = str(index.image_ids[image])
        folder.write_map(name, index.object_id[own].tolist(), index.label[own].tolist())


if __name__ == "__main__":
    raise SystemExit(run(main))
