"""Cut objects out of photos: four clicks each in a window, or points on the command line."""

from __future__ import annotations

import os

if __name__ == "__main__":
    # Before PyTorch is loaded: threads that spin while they wait cost much on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    # Before Matplotlib is: it cannot be imported with a backend that is not installed here, such as
    # a notebook's that is inherited. Only a window needs one.
    backend = os.environ.pop("MPLBACKEND", None)
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise SystemExit(
            f"error: OpenCV cannot be loaded ({error}): without graphics libraries (such as "
            "libGL): pip uninstall opencv-python; pip install opencv-python-headless"
        ) from None

import argparse
import time
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dextr.annotation import AnnotatedObject
from dextr.common.cli import UNTRAINED, add_network_options, path, run, text
from dextr.common.errors import UserError
from dextr.common.example_photos import example_scene
from dextr.common.files import check_target
from dextr.common.options import whole
from dextr.points import check_points
from dextr.predictor import Predictor
from dextr.weights.load import load_network
from dextr.window.click_window import ClickWindow
from dextr.window.layout import AnnotationFiles, Photos, choose_layout, read_labels
from dextr.window.project import AnnotationProject
from dextr.window.show import end_server_on_quit, in_browser, new_figure, show

PHOTO = "coffee"
EXAMPLES = """examples:
  python demo.py                                     click on a photo that comes along
  python demo.py --image photo.jpg                   click on your own
  python demo.py --image photos --labels cat,dog     on all photos of a folder
  python demo.py --image photos --web 8988           in a browser, also of another machine:
                                                     ssh -L 8988:localhost:8988 THERE
  python demo.py --output demo_output/coffee.png     no window: the photo and points that come along
  python demo.py --image photo.jpg --points "12,80 210,95 118,9 120,190" --output mask.png
                                                no window: your points; --points again: more objects

results, for one photo (default: demo_output/PHOTO.png):
  FILE.png            all objects, numbered (palette PNG)
  FILE_object_001.png ...  each object's whole mask;  FILE_overlay.png  a picture
  FILE_instances.json all objects in COCO's format;   FILE_session.json  see below
Files that this program did not make are never written over: the window takes FILE-2.png then.

results, for several photos, in a folder (default: demo_output/NAME of the photos' folder):
  masks/PHOTO.png, objects/PHOTO/001.png ..., overlays/PHOTO.png, instances.json, session.json

The session is written after every click: the same command goes on where you were, also after a
crash. All x,y are pixels from the image's top left corner, which is 0,0.
"""


def build_parser() -> argparse.ArgumentParser:
    """Return the command line's parser."""
    parser = argparse.ArgumentParser(
        description=__doc__, epilog=EXAMPLES, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--image", metavar="PHOTO|DIR", type=path, nargs="+", help="photos, folders (an example)")
    add(
        "--points",
        action="append",
        metavar='"x,y x,y x,y x,y"',
        type=text,
        help="left-, right-, top- and bottom-most point of an object, in any order, and further "
        "points on its outline; once per object; needs --output",
    )
    add("--output", metavar="FILE.png|DIR", type=path, help="where the masks go; see below")
    add(
        "--labels",
        metavar="LABEL,LABEL|FILE",
        type=text,
        help="for the keys 1-9 and l; a file: one per line",
    )
    add("--web", metavar="PORT", type=whole(1, 65_535), help="show the window in a browser instead")
    address = "address to serve --web on (127.0.0.1: this machine only)"
    add("--web-address", metavar="ADDRESS", type=text, default="127.0.0.1", help=address)
    add_network_options(parser, "--weights", "--threshold", "--device")
    return parser


def main(argv: Sequence[str] | None = None, backend: str | None = None) -> int:
    """Run the demo; `backend` is the one of Matplotlib's that makes the window."""
    args = build_parser().parse_args(argv)
    example = None if args.image else example_scene(PHOTO)
    photos = Photos({f"{PHOTO}.png": example.image}) if example else Photos.find(args.image)
    lines = args.points or []
    if lines and args.output is None:
        raise UserError("--points needs --output FILE.png: where to write the masks")
    if lines and (len(photos.names) > 1 or args.web or args.labels):
        raise UserError("--points is for one photo, without a window: no --web, no --labels")
    if args.output and example and not (args.web or args.labels or lines):
        cup, spoon, *_ = example.objects
        lines = [" ".join(f"{x:g},{y:g}" for x, y in points) for points in (cup, spoon)]
    return cut_out(args, photos, lines) if lines else annotate(args, photos, backend)


def cut_out(args: argparse.Namespace, photos: Photos, lines: Sequence[str]) -> int:
    """Cut out the objects with these points and write them; no window."""
    files = AnnotationFiles.beside(check_target(args.output))
    image = photos.read(photos.names[0])
    clicks = [parse_points(line, (image.shape[0], image.shape[1])) for line in lines]
    source = photos.sources[photos.names[0]]
    files.check_free(len(clicks), source if isinstance(source, Path) else None)
    predictor, _ = load(args)
    objects = []
    for number, points in enumerate(clicks, 1):
        start = time.perf_counter()
        mask = predictor.predict(image, points).mask
        seconds = time.perf_counter() - start
        print(f"object {number}: {np.count_nonzero(mask)} pixels, {seconds:.2f} s")
        objects.append(AnnotatedObject.of_mask(mask, points, predictor.threshold))
    files.save(image, objects)
    print(f"wrote {files.labels} and {files.overlay}")
    return 0


def annotate(args: argparse.Namespace, photos: Photos, backend: str | None) -> int:
    """Open the window, on the screen or in a browser, and write what is cut out in it."""
    labels = read_labels(args.labels) if args.labels else []
    layout = choose_layout(photos, args.output or default_output(photos))
    with in_browser(args.web, args.web_address) if args.web else nullcontext():
        figure = new_figure(backend=None if args.web else backend)
        predictor, warning = load(args)
        project = AnnotationProject(photos, predictor.threshold, layout, labels)
        window = ClickWindow(figure, predictor, project, warning)
        if args.web:
            end_server_on_quit(window)
        show(window)
    where = f" in {layout.result} and {layout.coco}" if project.file.count else ", nothing written"
    print(f"{project.summary()}{where}")
    return 0


def default_output(photos: Photos) -> Path:
    """Return a PNG for one photo, and a folder for more."""
    if len(photos.names) == 1:
        return Path("demo_output") / f"{Path(photos.names[0]).stem}.png"
    return Path("demo_output") / Path(photos.folder).name


def load(args: argparse.Namespace) -> tuple[Predictor, str]:
    """Return the predictor asked for and a warning for its user, empty if there is none."""
    loaded = load_network(args.weights)
    predictor = loaded.predictor(args.device, threshold=args.threshold)
    print(f"weights: {loaded.name}")
    if loaded.trained:
        return predictor, ""
    print(f"{UNTRAINED}; train a network with train_pascal.py, or give one with --weights")
    return predictor, UNTRAINED


def parse_points(text: str, hw: tuple[int, int]) -> NDArray[np.float64]:
    """Return the points (N, 2), xy, of a line such as "12,80 210,95 118,9 120,190".

    Raises:
        ValueError: Not such a line, or not usable in an image of height and width `hw`.
    """
    try:
        return check_points([pair.split(",") for pair in text.split()], hw)
    except ValueError as error:
        raise UserError(f'--points "{text}", expected "x,y x,y x,y x,y": {error}') from None


if __name__ == "__main__":
    raise SystemExit(run(partial(main, backend=backend)))
