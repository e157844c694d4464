"""The click window in a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from pathlib import Path

from dextr.common.images import ImageLike
from dextr.predictor import Predictor
from dextr.weights import load_predictor
from dextr.window.click_window import ClickWindow
from dextr.window.layout import choose_layout
from dextr.window.photos import Photos
from dextr.window.project import AnnotationProject
from dextr.window.show import new_figure

ADVICE = "run the line %matplotlib widget first (pip install ipympl)"


def annotate(
    images: ImageLike | Sequence[str | PathLike[str]],
    predictor: Predictor | None = None,
    labels: Sequence[str] = (),
    output: str | PathLike[str] | None = None,
) -> ClickWindow:
    """Open the click window below a notebook's cell, and return it while it goes on.

    Run `%matplotlib widget` first. `objects` and `masks` of what is returned are what was cut out
    of the open image so far.

    Args:
        images: An image, a file, a folder, or several of either.
        predictor: Makes the masks; None is the network that comes with the project.
        labels: Names of the categories.
        output: Where the work is kept, and found again the next time; see
            `dextr.window.layout.choose_layout`. None keeps it in memory.

    Raises:
        ValueError: The backend has no window, no image can be opened, or the output is another's.

    >>> window = annotate("photo.jpg")  # doctest: +SKIP
    >>> window.masks  # doctest: +SKIP
    """
    if isinstance(images, (str, PathLike)):
        photos = Photos.find([images])
    elif isinstance(images, Sequence):
        photos = Photos.find(images)
    else:
        photos = Photos({"image.png": images})
    predictor = predictor or load_predictor()
    layout = None if output is None else choose_layout(photos, Path(output))
    project = AnnotationProject(photos, predictor.threshold, layout, labels)
    return ClickWindow(new_figure(ADVICE), predictor, project)
