"""Points to masks, image after image; what is finished may be kept, to go on from there."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from dextr.annotation.objects import (
    AnnotatedImage,
    AnnotatedObject,
    ObjectPoints,
    Problem,
    by_image,
    photo_path,
)
from dextr.common.errors import UserError
from dextr.common.files import read_json, write_json
from dextr.common.images import ImageLike, as_rgb
from dextr.common.rle import mask_to_rle
from dextr.geometry import plain_relax
from dextr.points import check_points
from dextr.predictor import Predictor

Images = str | os.PathLike[str] | Mapping[str, ImageLike]
Objects = Sequence[ObjectPoints]
# Height and width, and of each object the run lengths, or why there are none.
Part = tuple[Sequence[int], Sequence[dict[str, Any] | str]]


def annotate(
    images: Images,
    objects: Iterable[ObjectPoints],
    predictor: Predictor,
    keep: str | os.PathLike[str] | None = None,
    network: str = "",
) -> Iterator[AnnotatedImage]:
    """Cut out objects; an image is read when its turn comes, and only one is held at a time.

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
        raise UserError("keep needs network, a text that tells the network from others")
    keep = None if keep is None else Path(keep)
    return (_annotate(images, o, predictor, keep, network) for o in by_image(objects).values())


def _annotate(
    images: Images, objects: Objects, predictor: Predictor, keep: Path | None, network: str
) -> AnnotatedImage:
    name = objects[0].image
    try:
        if isinstance(images, Mapping) and name not in images:
            raise UserError(f"{name}: no such image among the {len(images)} given")
        source = images[name] if isinstance(images, Mapping) else photo_path(images, name)
        own = source, objects, predictor
        hw, masks = _cut_out(*own) if keep is None else _go_on(keep, network, *own)
    except ValueError as error:
        return AnnotatedImage(name, (0, 0), [], [Problem(o.place, str(error)) for o in objects])
    image = AnnotatedImage(name, (int(hw[0]), int(hw[1])))
    for o, mask in zip(objects, masks, strict=True):
        if isinstance(mask, str):
            image.problems.append(Problem(o.place, mask))
        else:
            done = AnnotatedObject(o.number, o.label, o.points, predictor.threshold, mask, o.place)
            image.objects.append(done)
    return image


def _go_on(
    keep: Path, network: str, source: ImageLike, objects: Objects, predictor: Predictor
) -> Part:
    """Cut an image's objects out and keep a file of them, or take them from there.

    It has the image's `size`, each object's run lengths or fault in `masks`, and in `key` what
    tells network, image and points from others: what was made of others is done again.
    """
    file = keep / f"{_digest(objects[0].image)[:24]}.json"
    settings = [network, predictor.size, plain_relax(predictor.relax), predictor.threshold]
    if predictor.pieces:
        settings.append(predictor.pieces)
    clicks = [(entry.points.tolist(), entry.image_hw) for entry in objects]
    key = ""
    with suppress(OSError, ValueError, KeyError, TypeError):
        key = _key(source, settings, clicks)
        kept = read_json(file)
        if kept["key"] == key and len(kept["masks"]) == len(objects):
            return kept["size"], kept["masks"]
    size, masks = _cut_out(source, objects, predictor)
    write_json(file, {"key": key, "size": size, "masks": masks})
    return size, masks


def _key(source: ImageLike, settings: list[Any], clicks: list[Any]) -> str:
    if isinstance(source, (str, os.PathLike)):
        stamp: list[Any] = [os.stat(source).st_size, os.stat(source).st_mtime_ns]
    else:
        pixels = as_rgb(source)
        stamp = [pixels.shape, hashlib.sha256(pixels).hexdigest()]
    return _digest([settings, *stamp, clicks])


def _digest(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()


def _cut_out(source: ImageLike, objects: Objects, predictor: Predictor) -> Part:
    pixels = as_rgb(source)
    height, width = pixels.shape[:2]
    stated = objects[0].image_hw
    if stated not in (None, (height, width)):
        name = source if isinstance(source, Path) else objects[0].image
        raise UserError(
            f"{name} is {width} x {height} pixels, but the points are for {stated[1]} x {stated[0]}"
        )
    masks: list[dict[str, Any] | str] = [_fault(entry, (height, width)) for entry in objects]
    good = [k for k, fault in enumerate(masks) if not fault]
    empty = (
        f"no pixel is above the threshold {predictor.threshold:g}: check the points, or lower it"
    )
    # A batch at a time: the probabilities of all objects of a large image need not fit in memory.
    for start in range(0, len(good), predictor.batch_size):
        batch = good[start : start + predictor.batch_size]
        predictions = predictor.predict_many(pixels, [objects[k].points for k in batch])
        for k, prediction in zip(batch, predictions, strict=True):
            mask = prediction.mask
            masks[k] = mask_to_rle(mask) if mask.any() else empty
    return (height, width), masks


def _fault(entry: ObjectPoints, hw: tuple[int, int]) -> str:
    """Return what is wrong with an object's points; empty if nothing is."""
    try:
        check_points(entry.points, hw)
    except ValueError as error:
        return str(error)
    return ""
