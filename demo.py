"""Cut objects out of a photo: four clicks each in a window, or points on the command line."""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dextr.annotations import AnnotatedObject, AnnotationFiles
from dextr.cli import run
from dextr.images import read_image
from dextr.points import check_points
from dextr.predictor import Predictor, check_threshold
from dextr.weights import load_network

PHOTO = "coffee"
# The cup and the spoon of the photo above.
EXAMPLE_POINTS = ("173,104 408,104 282,18 220,309", "326,284 424,76 412,67 360,326")
UNTRAINED = "UNTRAINED WEIGHTS: the masks mean nothing"
EXAMPLES = """examples:
  python demo.py                                     click on a photo that comes along
  python demo.py --image photo.jpg                   click on your own
  python demo.py --output demo_output/coffee.png     no window: the photo and points that come along
  python demo.py --image photo.jpg --points "12,80 210,95 118,9 120,190" --output mask.png
                                                no window: your points; --points again: more objects

FILE.png holds all objects, numbered (palette PNG); beside it are written FILE_object_001.png ...,
one mask per object, and FILE_overlay.png, a picture. The window never writes over older files: it
takes FILE-2.png then. All x,y are pixels from the image's top left corner, which is 0,0.
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--image", type=Path, help="photo (default: scikit-image's cup of coffee)")
    parser.add_argument(
        "--weights", help="name or file (default: the network that comes with the project)"
    )
    parser.add_argument(
        "--points",
        action="append",
        metavar='"x,y x,y x,y x,y"',
        help="left-, right-, top- and bottom-most point of an object, in any order, and further "
        "points on its outline; once per object; needs --output",
    )
    parser.add_argument("--output", type=Path, metavar="FILE.png", help="where the masks go")
    parser.add_argument(
        "--threshold", type=float, help="probability a pixel needs, 0..1 (default: the network's)"
    )
    parser.add_argument("--device", help="cpu, cuda, cuda:1 ... (default: a GPU if there is one)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run the demo."""
    args = build_parser().parse_args(argv)
    lines = args.points or []
    if lines and args.output is None:
        raise ValueError("--points needs --output FILE.png: where to write the masks")
    if args.output and not args.image and not lines:
        lines = EXAMPLE_POINTS
    image = read_image(args.image) if args.image else bundled_photo()
    if lines:
        clicks = [parse_points(line, image.shape[:2]) for line in lines]
        return cut_out(args, image, clicks)
    return annotate(args, image)


def cut_out(
    args: argparse.Namespace, image: NDArray[np.uint8], clicks: list[NDArray[np.float64]]
) -> int:
    """Cut out the objects with these points and write them; no window."""
    files = AnnotationFiles(args.output)
    predictor, _ = load(args)
    objects = []
    for number, points in enumerate(clicks, 1):
        start = time.perf_counter()
        mask = predictor.predict(image, points).mask
        seconds = time.perf_counter() - start
        print(f"object {number}: {np.count_nonzero(mask)} pixels, {seconds:.2f} s")
        objects.append(AnnotatedObject(mask, points))
    files.save(image, objects)
    print(f"wrote {files.labels} and {files.overlay}")
    return 0


def annotate(args: argparse.Namespace, image: NDArray[np.uint8]) -> int:
    """Open the window and write what is cut out in it."""
    from dextr.click_window import ClickWindow, new_figure, show

    name = args.image.name if args.image else PHOTO
    default = Path("demo_output") / f"{Path(name).stem}.png"
    files = AnnotationFiles.unused(args.output or default)
    figure = new_figure()
    files.labels.parent.mkdir(parents=True, exist_ok=True)
    predictor, warning = load(args)
    title = f"{name}, {image.shape[1]} x {image.shape[0]} pixels"
    written = show(ClickWindow(figure, predictor, image, files, title, warning))
    print(f"wrote {written[0]} and {written[1]}" if written else "no objects, nothing written")
    return 0


def load(args: argparse.Namespace) -> tuple[Predictor, str]:
    """Return the predictor asked for and a warning for its user, empty if there is none."""
    with warnings.catch_warnings():
        # It says the same as the line below.
        warnings.filterwarnings("ignore", message=".*UNTRAINED")
        loaded = load_network(args.weights)
    predictor = Predictor.from_loaded(loaded, args.device)
    if args.threshold is not None:
        predictor.threshold = check_threshold(args.threshold)
    print(f"weights: {loaded.name}")
    if loaded.trained:
        return predictor, ""
    print(f"{UNTRAINED}; train a network with train_pascal.py, or give one with --weights")
    return predictor, UNTRAINED


def bundled_photo() -> NDArray[np.uint8]:
    """Return the photo that comes with scikit-image, (400, 600, 3), RGB."""
    from skimage import data

    photo: NDArray[np.uint8] = getattr(data, PHOTO)()
    return photo


def parse_points(text: str, hw: tuple[int, int]) -> NDArray[np.float64]:
    """Return the points (N, 2), xy, of a line such as "12,80 210,95 118,9 120,190".

    Raises:
        ValueError: Not such a line, or not usable in an image of height and width `hw`.
    """
    try:
        points = [[float(value) for value in pair.split(",")] for pair in text.split()]
    except ValueError:
        raise ValueError(f'--points "{text}": expected pairs of numbers, "x,y x,y ..."') from None
    try:
        return check_points(points, hw)
    except ValueError as error:
        raise ValueError(f'--points "{text}": {error}') from None


if __name__ == "__main__":
    raise SystemExit(run(main))
