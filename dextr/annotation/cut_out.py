"""Points to masks, image after image; what is finished may be kept, to go on from there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from dextr.annotation.objects import (
    AnnotatedImage,
    AnnotatedObject,
    ObjectPoints,
    Problem,
    by_image,
)
from dextr.common.files import read_json, write_json
from dextr.common.images import ImageLike, as_rgb
from dextr.common.rle import mask_to_rle
from dextr.points import check_points
from dextr.predictor import Predictor

Images = str | os.PathLike[str] | Mapping[str, ImageLike]


def annotate(
    images: Images,
    objects: Iterable[ObjectPoints],
    predictor: Predictor,
    keep: str | os.PathLike[str] | None = None,
    network: str = "",
) -> Iterator[AnnotatedImage]:
    """Cut out objects, image after image.

    An image is read when its turn comes; only one is held at a time.

    Args:
        images: The folder that the objects' `image` is relative to; or by that name files, PIL
            images or arrays, see `dextr.common.images.as_rgb`.
        objects: In any order.
        predictor: Makes the masks.
        keep: A folder for the masks of finished images; with the same network, threshold, image
            and points they are taken from there the next time. None keeps nothing.
        network: With `keep`, what tells the network from others, as `LoadedNetwork.digest` does.

    Yields:
        Each image's masks, in the order of its first object. What is wrong with an image or an
        object becomes one of `problems` and stops nothing.

    Raises:
        ValueError: `keep` without `network`.

    >>> found = annotate("photos", [ObjectPoints(1, "a.jpg", points)], predictor)  # doctest: +SKIP
    >>> [annotated.mask for image in found for annotated in image.objects]  # doctest: +SKIP
    """
    if keep is not None and not network:
        raise ValueError("keep needs network, a text that tells the network from others")
    settings = [network, predictor.size, predictor.relax, predictor.threshold]
    parts = KeptParts(None if keep is None else Path(keep), settings)
    return (_annotate_image(images, own, predictor, parts) for own in by_image(objects).values())


class Part(NamedTuple):
    """What is kept of an image: its height and width, and of each object the run lengths or why
    there are none.
    """

    size: Sequence[int]
    masks: Sequence[dict[str, Any] | str]


class KeptParts:
    """A folder with one small file per finished image.

    A file counts only for the same network, image and points; anything else is done again.

    Args:
        root: The folder; None keeps nothing.
        settings: Everything but image and points that the masks depend on.
    """

    def __init__(self, root: Path | None, settings: Sequence[Any]) -> None:
        self.root = root
        self.settings = list(settings)

    def read(self, source: ImageLike, objects: Sequence[ObjectPoints]) -> Part | None:
        """Return what is kept of an image and its objects; None if there is nothing."""
        if self.root is None:
            return None
        try:
            kept = read_json(self._path(self.root, objects), "part")
            if kept["key"] == self._key(source, objects) and len(kept["masks"]) == len(objects):
                return Part(kept["size"], kept["masks"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return None

    def write(self, source: ImageLike, objects: Sequence[ObjectPoints], part: Part) -> None:
        """Keep what became of an image's objects."""
        if self.root is not None:
            key = self._key(source, objects)
            write_json(self._path(self.root, objects), {"key": key, **part._asdict()})

    def _path(self, root: Path, objects: Sequence[ObjectPoints]) -> Path:
        return root / f"{_digest(objects[0].image)[:24]}.json"

    def _key(self, source: ImageLike, objects: Sequence[ObjectPoints]) -> str:
        clicks = [(entry.points.tolist(), entry.image_hw) for entry in objects]
        return _digest([self.settings, *_stamp(source), clicks])


def _stamp(source: ImageLike) -> list[Any]:
    """Return what changes when an image does."""
    if isinstance(source, (str, os.PathLike)):
        stat = os.stat(source)
        return [stat.st_size, stat.st_mtime_ns]
    pixels = as_rgb(source)
    return [pixels.shape, hashlib.sha256(pixels).hexdigest()]


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _annotate_image(
    images: Images, objects: Sequence[ObjectPoints], predictor: Predictor, parts: KeptParts
) -> AnnotatedImage:
    name = objects[0].image
    try:
        source = _source(images, name)
        part = parts.read(source, objects)
        if part is None:
            part = _cut_out(source, objects, predictor)
            parts.write(source, objects, part)
    except ValueError as error:
        return AnnotatedImage(name, (0, 0), [], [Problem(o.place, str(error)) for o in objects])
    both = list(zip(objects, part.masks, strict=True))
    return AnnotatedImage(
        name,
        (int(part.size[0]), int(part.size[1])),
        [
            AnnotatedObject(o.number, o.label, o.points, predictor.threshold, mask, o.place)
            for o, mask in both
            if isinstance(mask, dict)
        ],
        [Problem(o.place, mask) for o, mask in both if isinstance(mask, str)],
    )


def _source(images: Images, name: str) -> ImageLike:
    if not isinstance(images, Mapping):
        return Path(images) / name
    if name not in images:
        raise ValueError(f"{name}: no such image among the {len(images)} given")
    return images[name]


def _cut_out(source: ImageLike, objects: Sequence[ObjectPoints], predictor: Predictor) -> Part:
    pixels = as_rgb(source)
    height, width = pixels.shape[:2]
    stated = objects[0].image_hw
    if stated not in (None, (height, width)):
        name = source if isinstance(source, Path) else objects[0].image
        raise ValueError(
            f"{name} is {width} x {height} pixels, but the points are for {stated[1]} x {stated[0]}"
        )
    masks: list[dict[str, Any] | str] = [_fault(entry, (height, width)) for entry in objects]
    good = [k for k, fault in enumerate(masks) if not fault]
    # A batch at a time: the probabilities of all objects of a large image need not fit in memory.
    for start in range(0, len(good), predictor.batch_size):
        batch = good[start : start + predictor.batch_size]
        predictions = predictor.predict_many(pixels, [objects[k].points for k in batch])
        for k, prediction in zip(batch, predictions, strict=True):
            masks[k] = _result(prediction.mask, predictor.threshold)
    return Part((height, width), masks)


def _fault(entry: ObjectPoints, hw: tuple[int, int]) -> str:
    """Return what is wrong with an object's points; empty if nothing is."""
    try:
        check_points(entry.points, hw)
    except ValueError as error:
        return str(error)
    return ""


def _result(mask: NDArray, threshold: float) -> dict[str, Any] | str:
    if not mask.any():
        return f"no pixel is above the threshold {threshold:g}: check the points, or lower it"
    return mask_to_rle(mask)
