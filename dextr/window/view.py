"""What the click window shows: the image with its objects, and lines of text around it."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patheffects import Normal, Stroke
from matplotlib.text import Text
from numpy.typing import NDArray

from dextr.annotation.objects import NO_LABEL
from dextr.geometry import Box
from dextr.visualize import object_color, overlay
from dextr.window.project import AnnotationProject

SCREEN = 1600  # pixels of a large one
LABEL_OFFSET = 8  # points of the screen: a click's dot stays free
KEYS = (
    "enter: next object   z: undo   c: clear   - +: threshold   1-9: label   [ ]: images   "
    "h: all keys"
)
HELP = """\
left click    a point: the left-, right-, top- and bottom-most of
              the object, in any order; then, if need be, further
              points on its true outline. A corner that is two of
              the four: click it twice, but not as a double click
drag a point  to move it
enter or n    accept the mask (it is saved) and start the next object
z             undo the last change of the points; with none, open
              the last object again
c or escape   clear the points
- +           lower or raise the threshold: the mask grows or shrinks
1 ... 9, l L  label: choose, next, previous (see --labels)
[ ]           previous or next image
s             save everything and all pictures now
q             save and quit; closing the window does the same
o p r         zoom, pan, whole image; no points are placed meanwhile
h             this help"""


class WindowView:
    """Draws the open image of a project and what is done to it, and a warning over it, in red.

    The texts `status`, `note`, `saved` and `help` say what to do next, what happened last, whether
    the work is on the disk, and, once asked for, what each key does.
    """

    def __init__(self, figure: Figure, project: AnnotationProject, warning: str = "") -> None:
        self.figure = figure
        self.project = project
        self.warning = warning
        self.axes = figure.add_axes((0.02, 0.13, 0.96, 0.81))
        self._image = ImageView(self.axes, project.image)
        (self._dots,) = self.axes.plot([], [], "o", markersize=9, markeredgecolor="white")
        text = partial(figure.text, va="center", parse_math=False)
        self._title = text(0.02, 0.965, "", fontsize=11)
        self.saved = text(0.98, 0.965, "", fontsize=11, ha="right")
        self.status = text(0.02, 0.095, "", fontsize=11, weight="bold", wrap=True)
        self.note = text(0.02, 0.06, "", fontsize=10, wrap=True)
        text(0.02, 0.025, KEYS, fontsize=9, color="dimgray")
        box = {"facecolor": "white", "alpha": 0.92, "boxstyle": "round,pad=1"}
        self.help = text(
            0.5, 0.53, HELP, family="monospace", ha="center", bbox=box, ma="left", visible=False
        )
        text(0.5, 0.91, warning, ha="center", color="crimson", visible=bool(warning), bbox=box)
        self._current: list[Artist] = []
        self._accepted: list[Artist] = []
        self._drawn: list[int] = []
        if project.file.images:
            self.show_saved(True)
        self.open()

    def open(self) -> None:
        """Show the whole image that is open now."""
        self._image.show_whole(self.project.image)
        self._title.set_text(self.project.title)
        canvas = self.figure.canvas
        if canvas.toolbar is not None:
            # Home, back and forward must not lead to parts of the last image.
            canvas.toolbar.update()
        if canvas.manager is not None:
            parts = ("DEXTR", self.project.title, self.warning)
            canvas.manager.set_window_title(" - ".join(filter(None, parts)))
        self._draw_accepted()

    def _draw_accepted(self) -> None:
        """Draw the finished objects, which stay as they are while the current one changes."""
        accepted = self.project.session.accepted
        self._background = overlay(self.project.image, [o.mask for o in accepted], outline=False)
        for artist in self._accepted:
            artist.remove()
        contours = [self._contour(o.mask, k, o.label) for k, o in enumerate(accepted, 1)]
        self._accepted = [artist for artists in contours for artist in artists]
        self._drawn = [id(annotated) for annotated in accepted]

    def draw(self) -> None:
        """Draw what has changed of the objects, and write what to do next."""
        session = self.project.session
        if self._drawn != [id(annotated) for annotated in session.accepted]:
            self._draw_accepted()
        mask = session.mask
        self._image.show(self._background, mask, session.number)
        for artist in self._current:
            artist.remove()
        self._current = [] if mask is None else self._contour(mask, session.number, session.label)
        self._dots.set_data([x for x, _ in session.points], [y for _, y in session.points])
        self._dots.set(markerfacecolor=_color(session.number))
        self.status.set_text(session.status)
        self.note.set_text(session.note)
        self.figure.canvas.draw_idle()

    def toggle_help(self) -> None:
        """Show the list of keys, or hide it."""
        self.help.set_visible(not self.help.get_visible())

    def show_saved(self, done: bool) -> None:
        """Say how much is finished, and whether it could be saved."""
        parts = [self.project.summary()] if self.project.file.count else []
        parts += ["saved"] if self.project.layout else []
        self.saved.set_text(", ".join(parts) if done else "NOT SAVED")
        self.saved.set_color("dimgray" if done else "crimson")

    def draw_moving(self, index: int, x: float, y: float) -> None:
        """Draw a point of the current object elsewhere for the moment."""
        points = np.array(self.project.session.points)
        points[index] = x, y
        self._dots.set_data(points.T)
        self.figure.canvas.draw_idle()

    def _contour(self, mask: NDArray[np.bool_], number: int, label: str) -> list[Artist]:
        """Draw an object's outline, as wide on the screen at any zoom, and its label."""
        if not mask.any():
            return []
        color = _color(number)
        # A dark line under the light one: the outline shows on any ground.
        effects = [Stroke(linewidth=3, foreground=0.25 * color), Normal()]
        lines = LineCollection(_outlines(mask), linewidths=1.5, path_effects=effects, zorder=1.5)
        lines.set(color=[0.5 + 0.5 * color])
        self.axes.add_collection(lines, autolim=False)
        return [lines, self._label(mask, number, label)]

    def _label(self, mask: NDArray[np.bool_], number: int, label: str) -> Text:
        """Write an object's number and label above its highest pixel, or below near the border."""
        y = int(mask.any(axis=1).argmax())
        x = float(np.flatnonzero(mask[y]).mean())
        height, width = mask.shape
        above = y > height / 20
        side = "left" if x < width / 10 else "right" if x > 0.9 * width else "center"
        color = _color(number)
        return self.axes.annotate(
            str(number) if label == NO_LABEL else f"{number} {label}",
            (x, y),
            xytext=(0, LABEL_OFFSET if above else -LABEL_OFFSET),
            textcoords="offset points",
            fontsize=9,
            color="white" if color @ (0.3, 0.6, 0.1) < 0.6 else "black",
            ha=side,
            va="bottom" if above else "top",
            bbox={"facecolor": color, "edgecolor": "none", "boxstyle": "round,pad=0.2"},
            clip_on=True,
            parse_math=False,
        )


def _outlines(mask: NDArray[np.bool_]) -> list[NDArray]:
    """Return the closed lines (N, 2), xy, around an object and its holes."""
    box = Box.of_mask(mask)
    part = mask[box.slices()].astype(np.uint8)
    contours, _ = cv2.findContours(part, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_NONE)
    return [np.append(c, c[:1], axis=0)[:, 0] + (box.x0, box.y0) for c in contours]


def _color(number: int) -> NDArray[np.float64]:
    return np.array(object_color(number)) / 255


class ImageView:
    """Shows the visible part of a picture (H, W, 3), RGB, reduced to what a screen can show.

    Left to itself matplotlib resamples the whole picture each time it draws, which takes half a
    second for a photo of 12 million pixels. The axes' coordinates become pixel indices.
    """

    def __init__(self, axes: Axes, picture: NDArray[np.uint8]) -> None:
        self.axes = axes
        self._artist = axes.imshow(picture[:1, :1])
        axes.autoscale(False)
        axes.set_axis_off()
        self.show_whole(picture)
        for change in ("xlim_changed", "ylim_changed"):
            axes.callbacks.connect(change, lambda _: self._update())

    def show(
        self, picture: NDArray[np.uint8], mask: NDArray[np.bool_] | None = None, number: int = 1
    ) -> None:
        """Show another picture of the same size, under a mask (H, W) in the object's colour."""
        self.picture, self._mask, self._number = picture, mask, number
        self._update()

    def show_whole(self, picture: NDArray[np.uint8]) -> None:
        """Show all of another picture of any size."""
        height, width = picture.shape[:2]
        self.picture, self._mask, self._number = picture, None, 1
        self.axes.set(xlim=(-0.5, width - 0.5), ylim=(height - 0.5, -0.5))
        # Otherwise a click before the next drawing would land beside its pixel.
        self.axes.apply_aspect()
        self._update()

    def _update(self) -> None:
        height, width = self.picture.shape[:2]
        x0, x1 = _pixels(self.axes.get_xlim(), width)
        y0, y1 = _pixels(self.axes.get_ylim(), height)
        part = _reduced(self.picture[y0:y1, x0:x1])
        if self._mask is not None:
            mask = _reduced(self._mask[y0:y1, x0:x1].view(np.uint8))
            part = overlay(part, [mask], first=self._number, outline=False)
        self._artist.set_data(part)
        self._artist.set_extent((x0 - 0.5, x1 - 0.5, y1 - 0.5, y0 - 0.5))


def _reduced(part: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a part of a picture or mask with no more pixels than a screen shows."""
    height, width = part.shape[:2]
    scale = SCREEN / max(height, width)
    if scale >= 1:
        return part
    size = max(1, round(scale * width)), max(1, round(scale * height))
    return np.asarray(cv2.resize(part, size, interpolation=cv2.INTER_AREA), np.uint8)


def _pixels(limits: tuple[float, float], length: int) -> tuple[int, int]:
    """Return the half-open range of pixels that axis limits show, at least one pixel."""
    low, high = sorted(limits)
    first = int(np.clip(np.floor(low + 0.5), 0, length - 1))
    last = int(np.clip(np.ceil(high + 0.5), first + 1, length))
    return first, last
