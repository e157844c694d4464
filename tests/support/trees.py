"""Small data sets on disk, in the layouts people have them, with what was drawn as the truth."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

VOID = 255
VOC_TRAIN = ("2007_000001", "2007_000002", "2008_000003", "2008_000004")
VOC_VAL = ("2009_000005", "2009_000006", "2009_000007")
SBD_TRAIN = ("2007_000001", "2009_000005", "2010_000008", "2010_000009")
SBD_VAL = ("2008_000003", "2009_000006", "2011_000010")


@dataclass(frozen=True)
class Scene:
    """One drawn image.

    Attributes:
        image: (H, W, 3) uint8 RGB.
        shapes: The objects' whole masks, (H, W) bool each, back to front: they may overlap.
        labels: (H, W) uint8: 1 + position of the object in front, 0 ground, 255 its outline.
        classes: Each object's class, 1..20.
    """

    image: NDArray[np.uint8]
    shapes: list[NDArray[np.bool_]]
    labels: NDArray[np.uint8]
    classes: list[int]

    @property
    def unbordered(self) -> NDArray[np.uint8]:
        """The labels without void outlines."""
        labels = np.zeros_like(self.labels)
        for number, shape in enumerate(self.shapes, start=1):
            labels[shape] = number
        return labels

    @property
    def class_map(self) -> NDArray[np.uint8]:
        """(H, W) uint8: each pixel's class, 0 ground, 255 void."""
        lookup = np.zeros(256, np.uint8)
        lookup[1 : len(self.classes) + 1] = self.classes
        lookup[VOID] = VOID
        return lookup[self.labels]


def draw_scene(rng: np.random.Generator, objects: int | None = None) -> Scene:
    """Draw 1 to 3 textured ellipses or boxes over textured ground, 60 x 80 to 100 x 140 pixels."""
    height, width = int(rng.integers(60, 101)), int(rng.integers(80, 141))
    count = int(rng.integers(1, 4)) if objects is None else objects
    image = _texture(rng, height, width)
    shapes: list[NDArray[np.bool_]] = []
    for place in range(count):
        shape = _shape(rng, height, width, place, count)
        image[shape] = _texture(rng, height, width)[shape]
        shapes.append(shape)
    labels = np.zeros((height, width), np.uint8)
    for number, shape in enumerate(shapes, start=1):
        labels[shape] = number
    edge = cv2.morphologyEx(labels, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)) > 0
    labels[edge] = VOID
    return Scene(image, shapes, labels, [int(c) for c in rng.integers(1, 21, size=count)])


def make_voc(
    root: Path,
    train: Iterable[str] = VOC_TRAIN,
    val: Iterable[str] = VOC_VAL,
    seed: int = 0,
) -> dict[str, Scene]:
    """Write `root/VOCdevkit/VOC2012` and return its scenes by image id."""
    base = Path(root) / "VOCdevkit" / "VOC2012"
    splits = {"train": list(train), "val": list(val)}
    splits["trainval"] = splits["train"] + splits["val"]
    scenes = _scenes(splits["trainval"], seed)
    for split, ids in splits.items():
        _write_lines(base / "ImageSets" / "Segmentation" / f"{split}.txt", ids)
    for name, scene in scenes.items():
        _write_jpeg(base / "JPEGImages" / f"{name}.jpg", scene.image)
        write_palette(base / "SegmentationObject" / f"{name}.png", scene.labels)
        write_palette(base / "SegmentationClass" / f"{name}.png", scene.class_map)
    return scenes


def make_sbd(
    root: Path,
    train: Iterable[str] = SBD_TRAIN,
    val: Iterable[str] = SBD_VAL,
    seed: int = 1,
) -> dict[str, Scene]:
    """Write `root/benchmark_RELEASE/dataset` and return its scenes; some ids are `make_voc`'s."""
    from scipy.io import savemat
    from scipy.sparse import csc_matrix

    base = Path(root) / "benchmark_RELEASE" / "dataset"
    splits = {"train": list(train), "val": list(val)}
    scenes = _scenes(splits["train"] + splits["val"], seed)
    for split, ids in splits.items():
        _write_lines(base / f"{split}.txt", ids)
    (base / "inst").mkdir(parents=True, exist_ok=True)
    for name, scene in scenes.items():
        _write_jpeg(base / "img" / f"{name}.jpg", scene.image)
        boundaries = np.empty((len(scene.classes), 1), object)
        for k, shape in enumerate(scene.shapes):
            boundaries[k, 0] = csc_matrix(shape & ~cv2.erode(shape.view(np.uint8), None).view(bool))
        truth = {
            "Segmentation": scene.unbordered,
            "Boundaries": boundaries,
            "Categories": np.array(scene.classes, np.uint8)[:, None],
        }
        savemat(base / "inst" / f"{name}.mat", {"GTinst": truth}, do_compression=True)
    return scenes


def make_coco(
    root: Path, split: str = "val2017", images: int = 4, seed: int = 2
) -> dict[str, Scene]:
    """Write `root/annotations/instances_SPLIT.json` and `root/SPLIT` and return the scenes.

    Object k of an image is its k-th annotation; its category alternates between `person` (id 1)
    and `dog` (id 18). The first image has a crowd region besides.
    """
    root = Path(root)
    names = [f"{41 + 7 * k:012d}" for k in range(images)]
    scenes = _scenes(names, seed, objects=2)
    records, annotations = [], []
    for name, scene in scenes.items():
        _write_jpeg(root / split / f"{name}.jpg", scene.image)
        height, width = scene.labels.shape
        records.append(
            {"id": int(name), "file_name": f"{name}.jpg", "height": height, "width": width}
        )
        for k, shape in enumerate(scene.shapes):
            number, category = len(annotations) + 101, (1, 18)[k % 2]
            annotations.append(_annotation(number, int(name), category, shape, polygons_of(shape)))
    crowd = np.zeros(scenes[names[0]].labels.shape, bool)
    crowd[:20, :30] = True
    region = _annotation(99, int(names[0]), 1, crowd, uncompressed_rle(crowd))
    annotations.append({**region, "iscrowd": 1})
    content = {
        "images": records,
        "annotations": annotations,
        "categories": [
            {"id": 1, "name": "person", "supercategory": "person"},
            {"id": 18, "name": "dog", "supercategory": "animal"},
        ],
    }
    path = root / "annotations" / f"instances_{split}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return scenes


def make_folder(
    root: Path, images: int = 4, seed: int = 3, binary: bool = False, suffix: str = ".png"
) -> dict[str, Scene]:
    """Write `root/images` and `root/masks` and return the scenes.

    Args:
        binary: One object per image, drawn 255 on 0; otherwise label maps with void outlines.
        suffix: What kind of images are written.
    """
    root = Path(root)
    names = [f"photo{k}" for k in range(images)]
    scenes = _scenes(names, seed, objects=1 if binary else None)
    (root / "images").mkdir(parents=True, exist_ok=True)
    for name, scene in scenes.items():
        Image.fromarray(scene.image).save(root / "images" / f"{name}{suffix}")
        mask = scene.shapes[0] * np.uint8(255) if binary else scene.labels
        write_grey(root / "masks" / f"{name}.png", mask)
    return scenes


def make_davis(
    root: Path,
    train: Iterable[str] = ("bear",),
    val: Iterable[str] = ("camel", "dog-gooses"),
    frames: int = 2,
    seed: int = 4,
) -> dict[str, Scene]:
    """Write DAVIS 2016's layout at `root` and return the scenes by `SEQUENCE/FRAME`."""
    root = Path(root)
    splits = {"train": list(train), "val": list(val)}
    scenes: dict[str, Scene] = {}
    for number, (split, sequences) in enumerate(splits.items()):
        names = [f"{sequence}/{k:05d}" for sequence in sequences for k in range(frames)]
        drawn = _scenes(names, seed + 100 * number, objects=1)
        for name, scene in drawn.items():
            _write_jpeg(root / "JPEGImages" / "480p" / f"{name}.jpg", scene.image)
            mask = scene.shapes[0] * np.uint8(255)
            write_grey(root / "Annotations" / "480p" / f"{name}.png", mask)
        lines = [f"/JPEGImages/480p/{n}.jpg /Annotations/480p/{n}.png" for n in names]
        _write_lines(root / "ImageSets" / "480p" / f"{split}.txt", lines)
        scenes |= drawn
    return scenes


def write_palette(path: Path, labels: NDArray[np.uint8]) -> None:
    """Write labels as a palette PNG whose colours tell nothing of the indices."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(labels)
    image.putpalette(np.random.default_rng(9).integers(0, 256, 768, dtype=np.uint8).tobytes())
    image.save(path)


def write_grey(path: Path, labels: NDArray) -> None:
    """Write labels as an 8-bit or 16-bit grey PNG, as the array's type has it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(labels).save(path)


def polygons_of(mask: NDArray[np.bool_]) -> list[list[float]]:
    """Return the outlines of a mask's parts as COCO has them: flat x, y lists on pixel edges."""
    doubled = cv2.resize(mask.view(np.uint8), None, fx=2, fy=2, interpolation=cv2.INTER_NEAREST)
    contours, _ = cv2.findContours(doubled, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    return [((c.reshape(-1) + 0.5) / 2).tolist() for c in contours if len(c) >= 3]


def uncompressed_rle(mask: NDArray[np.bool_]) -> dict[str, list[int]]:
    """Return COCO's run lengths of a mask: down the columns, starting with a run of zeros."""
    flat = mask.flatten(order="F").astype(np.int8)
    changes = np.flatnonzero(np.diff(flat, prepend=0))
    runs = np.diff(np.concatenate([[0], changes, [flat.size]]))
    return {"counts": [int(r) for r in runs], "size": list(mask.shape)}


def _annotation(
    number: int, image: int, category: int, mask: NDArray[np.bool_], segmentation: object
) -> dict[str, object]:
    rows, columns = np.nonzero(mask)
    x, y = int(columns.min()), int(rows.min())
    box = [x, y, int(columns.max()) + 1 - x, int(rows.max()) + 1 - y]
    return {
        "id": number,
        "image_id": image,
        "category_id": category,
        "iscrowd": 0,
        "segmentation": segmentation,
        "area": int(mask.sum()),
        "bbox": box,
    }


def _scenes(names: list[str], seed: int, objects: int | None = None) -> dict[str, Scene]:
    return {
        name: draw_scene(np.random.default_rng([seed, k]), objects) for k, name in enumerate(names)
    }


def _texture(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    coarse = rng.integers(-40, 41, size=(height // 8 + 1, width // 8 + 1, 3)).astype(np.float32)
    texture = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)
    texture += rng.integers(50, 206, size=3)
    texture += rng.normal(0, 6, size=texture.shape)
    return np.clip(texture, 0, 255).astype(np.uint8)


def _shape(
    rng: np.random.Generator, height: int, width: int, place: int, count: int
) -> NDArray[np.bool_]:
    """Return one of `count` objects side by side, wide enough that neighbours can overlap."""
    canvas = np.zeros((height, width), np.uint8)
    lane = width / count
    centre = (lane * (place + rng.uniform(0.4, 0.6)), height * rng.uniform(0.4, 0.6))
    axes = (lane * rng.uniform(0.7, 1.1), height * rng.uniform(0.4, 0.8))
    turned = (centre, axes, float(rng.uniform(-20, 20)))
    if rng.random() < 0.5:
        cv2.ellipse(canvas, turned, 1, -1)
    else:
        cv2.fillPoly(canvas, [np.rint(cv2.boxPoints(turned)).astype(np.int32)], 1)
    return canvas.astype(bool)


def _write_jpeg(path: Path, image: NDArray[np.uint8]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image).save(path, quality=92)


def _write_lines(path: Path, lines: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines))
