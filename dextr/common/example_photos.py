"""Photos that come with scikit-image, with objects in them: to check and to calibrate with."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dextr.common.images import as_rgb

# Left-, right-, top- and bottom-most point of each object, xy, by the photo's name.
OBJECTS = {
    "coffee": (
        ((173, 104), (408, 104), (282, 18), (220, 309)),  # cup
        ((326, 284), (424, 76), (412, 67), (360, 326)),  # spoon
        ((75, 235), (482, 235), (300, 95), (290, 388)),  # saucer
    ),
    "astronaut": (
        ((12, 470), (362, 345), (240, 15), (200, 510)),  # person
        ((352, 225), (458, 225), (413, 2), (405, 275)),  # shuttle
        ((275, 440), (500, 470), (400, 343), (360, 511)),  # helmet
    ),
    "chelsea": (
        ((5, 140), (395, 20), (90, 2), (200, 299)),  # cat
        ((134, 113), (202, 120), (170, 84), (172, 145)),  # eye
    ),
    "rocket": (((309, 250), (338, 250), (321, 131), (322, 408)),),
    "camera": (((2, 240), (325, 215), (202, 62), (70, 511)),),
    "coins": (((303, 44), (362, 44), (333, 15), (333, 71)),),
}


@dataclass(frozen=True)
class Scene:
    """An image (H, W, 3), RGB, and the points (N, 2), xy, of each of the objects in it."""

    name: str
    image: NDArray[np.uint8]
    objects: list[NDArray[np.float64]]


def example_scene(name: str) -> Scene:
    """Return a photo of `OBJECTS` by name."""
    from skimage import data

    objects = [np.array(points, np.float64) for points in OBJECTS[name]]
    return Scene(name, as_rgb(getattr(data, name)()), objects)


def made_scene(seed: int = 0, count: int = 3) -> Scene:
    """Return noise with points at random places: input that no network has seen."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (300, 400, 3), np.uint8)
    middles = rng.uniform((70, 70), (330, 230), (count, 1, 2))
    extents = rng.uniform(10, 60, (count, 1, 2))
    diamond = np.array([(-1, 0), (1, 0), (0, -1), (0, 1)])
    return Scene("noise", image, list(middles + extents * diamond))
