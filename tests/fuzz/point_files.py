"""Cases for files of points (CSV, JSON, COCO), and for `python -m dextr annotate` over them."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import random
from pathlib import Path, PurePath

import numpy as np
from fuzz.damage import WORDS, damaged, odd_value, replace_somewhere
from fuzz.pictures import odd_file
from fuzz.prediction import odd_points, small_predictor
from PIL import Image
from pycocotools.coco import COCO

from dextr.annotation.points_file import read_points
from dextr.commands.annotate import main as annotate
from dextr.weights.load import save_network

HW = (40, 60)
HEADINGS = ["image", *(f"{axis}{k}" for k in range(1, 5) for axis in "xy"), "x5", "y5", "label"]
IMAGES = ("a.png", "b.png", "none.png", "broken.png", "../up.png", "/a.png", "a.png/b", "")
ENCODINGS = (*("utf-8",) * 30, *("utf-8-sig",) * 4, "utf-16", "latin-1", "utf-32")


def read(rng: random.Random, folder: Path) -> None:
    """Read one odd file of points; right are shapes, names and one-line reasons.

    Raises:
        ValueError: The file cannot be used.
        AssertionError: The answer is not right.
    """
    path, from_masks = _odd_points_file(rng, folder)
    found = read_points(path, from_masks)
    for entry in found.objects:
        assert entry.points.dtype == np.float64
        assert entry.points.ndim == 2
        assert entry.points.shape[1] == 2
        assert len(entry.points) >= 4
        path = PurePath(entry.image)
        assert not path.is_absolute()
        assert ".." not in path.parts
        assert entry.label
        assert entry.image in found.image_ids
        assert entry.label in {record["name"] for record in found.categories}
    for problem in found.problems:
        assert len(str(problem).splitlines()) == 1, repr(str(problem))


def annotate_all(rng: random.Random, folder: Path) -> None:
    """Run the command over odd points and images; right is a result that pycocotools loads.

    Raises:
        ValueError: Nothing could be annotated, said on one line.
        AssertionError: The answer is not right.
    """
    images, out, weights = folder / "images", folder / "out", folder / "w.safetensors"
    images.mkdir()
    for name in IMAGES[:2]:
        Image.new("RGB", HW[::-1], (90, 90, 90)).save(images / name)
    odd_file(rng, images)[0].rename(images / "broken.png")
    network = small_predictor().network
    save_network(weights, network, size=32, relax=10, threshold=0, origin={})
    points, from_masks = _odd_points_file(rng, folder)
    call = ["--points", points, "--images", images, "--output", out, "--weights", weights]
    call += ["--from-masks"] if from_masks else []
    call += rng.choice(([], ["--segmentation", "polygons", "--simplify", "2"]))
    shown = io.StringIO()
    with contextlib.redirect_stdout(shown), contextlib.redirect_stderr(shown):
        code = annotate([*map(str, call), "--device", "cpu"])
        assert "Traceback" not in shown.getvalue()
        coco = COCO(out / "instances.json")
    assert code in (0, 1)
    for annotation in coco.anns.values():
        record = coco.imgs[annotation["image_id"]]
        assert coco.annToMask(annotation).shape == (record["height"], record["width"])


def _odd_points_file(rng: random.Random, folder: Path) -> tuple[Path, bool]:
    """Write a file; returns its path and whether points are to be found on its masks."""
    kind = rng.randrange(3)
    text = (_csv(rng), _json(rng), _coco(rng))[kind]
    if rng.random() < 0.06:
        text = rng.choice(("[", '{"a":', "[[", '{"images":[')) * rng.choice((10, 100_000))
    content = text.encode(rng.choice(ENCODINGS), "replace")
    if rng.random() < 0.2:
        content = damaged(rng, content)
    path = folder / f"points.{('csv', 'json', 'JSON')[kind]}"
    if rng.random() < 0.02:
        return rng.choice((folder, folder / "none.csv", folder / "none.json")), False
    path.write_bytes(content)
    return path, rng.random() < (0.5 if kind == 2 else 0.05)


def _csv(rng: random.Random) -> str:
    file = io.StringIO()
    writer = csv.writer(
        file, delimiter=rng.choice(",,;\t"), lineterminator=rng.choice(("\n", "\r\n", "\r"))
    )
    heads = HEADINGS if rng.random() < 0.8 else [h for h in HEADINGS if rng.random() < 0.9]
    writer.writerow(heads)
    for _ in range(rng.choice((0, 1, 3, 20))):
        row = [rng.choice(IMAGES), *(rng.randrange(40) for _ in range(8)), "", "", "cat"]
        if rng.random() < 0.3:
            row[rng.randrange(len(row))] = rng.choice((*WORDS, "1e400", "x" * 200_000, '"', "1,5"))
        writer.writerow(
            [str(cell).replace("\udc80", "?") for cell in row[: rng.choice((12, 12, 12, 5))]]
        )
    return file.getvalue()


def _json(rng: random.Random) -> str:
    records: list[object] = [
        {"image": rng.choice(IMAGES), "points": _points(rng), "label": rng.choice(("cat", None))}
        for _ in range(rng.choice((0, 1, 3, 20)))
    ]
    return _dumped(rng, records)


def _coco(rng: random.Random) -> str:
    annotations = [
        {
            "id": rng.choice((k, k, k, k, 1)),
            "image_id": rng.choice((1, 1, 2, 3)),
            "category_id": rng.choice((1, 1, 1, 2)),
            "iscrowd": rng.choice((0, 0, 0, 1)),
            "extreme_points": _points(rng),
            "segmentation": _segmentation(rng),
        }
        for k in range(1, rng.choice((1, 2, 4, 20)))
    ]
    sizes = [HW, HW, rng.choice(((40, 60), (1, 1), (20_000, 20_000), (-1, 5), (2**40, 2**40)))]
    images = [
        {"id": k, "file_name": name, "height": hw[0], "width": hw[1]}
        for k, (name, hw) in enumerate(zip(IMAGES[:3], sizes, strict=True), 1)
    ]
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": rng.choice(("dog", "cat"))}]
    return _dumped(rng, {"images": images, "annotations": annotations, "categories": categories})


def _dumped(rng: random.Random, value: object) -> str:
    for _ in range(rng.choice((0, 1, 1, 3))):
        value = replace_somewhere(rng, value)
    return json.dumps(value, indent=rng.choice((None, 1)))


def _points(rng: random.Random) -> object:
    if rng.random() < 0.3:
        return odd_value(rng)
    points = odd_points(rng, HW)
    return (
        points
        if isinstance(points, list) and len(points) < 10
        else [[1, 9], [30, 9], [9, 1], [9, 30]]
    )


def _segmentation(rng: random.Random) -> object:
    size = rng.choice((list(HW), [40, 61], [20_000, 20_000], [0, 0], ["40", 60]))
    corners = [rng.choice((0, 5, 30.5, -9, 59, 1e4, 1e9)) for _ in range(rng.choice((8, 7, 2, 40)))]
    return rng.choice((
        [corners],
        [corners, corners],
        {"size": size, "counts": [800, 100, 1500]},
        {"size": size, "counts": [rng.choice((-1, 0, 2400, 2**40)) for _ in range(3)]},
        {"size": size, "counts": "".join(chr(rng.randrange(32, 128)) for _ in range(9))},
        odd_value(rng),
    ))  # fmt: skip
