"""What the mouse does in the click window: points are placed by a click and moved by dragging."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import hypot
from time import monotonic

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backend_bases import MouseButton, MouseEvent

REACH = 9  # pixels of the screen from a point's middle
STILL = 3  # pixels of the screen that a click may move
DOUBLE_CLICK = 0.4  # seconds


class PointMouse:
    """Tells clicks from drags.

    A press that is close to a point takes hold of it. If the mouse then moves, the point follows;
    if not, it was a click like any other: a corner can be two of an object's extreme points. The
    second click of a double click, the toolbar's zoom and pan and other buttons do nothing here.

    Args:
        axes: Of the image.
        points: Gives the points there are, xy.
        click: Called with x, y of a new point.
        drag: Called with a point's index and x, y where it is for the moment.
        drop: The same, where it was let go.
    """

    def __init__(
        self,
        axes: Axes,
        points: Callable[[], list[tuple[float, float]]],
        click: Callable[[float, float], None],
        drag: Callable[[int, float, float], None],
        drop: Callable[[int, float, float], None],
    ) -> None:
        self.axes = axes
        self._points = points
        self._click, self._drag, self._drop = click, drag, drop
        self._held: int | None = None
        self._pressed: MouseEvent
        self._moved = False
        self._placed = -DOUBLE_CLICK
        connect = axes.figure.canvas.mpl_connect
        # Methods alone are held weakly: they would be gone with whoever made this object.
        connect("button_press_event", partial(self._on_press))
        connect("motion_notify_event", partial(self._on_motion))
        connect("button_release_event", partial(self._on_release))

    def let_go(self) -> None:
        """Forget the point that is held; it stays where it was."""
        self._held = None

    def _on_press(self, event: MouseEvent) -> None:
        locked = self.axes.figure.canvas.widgetlock.locked()
        here = event.inaxes is self.axes
        if event.button != MouseButton.LEFT or event.dblclick or locked or not here:
            return
        self._held = self._near(event, REACH)
        self._pressed, self._moved = event, False
        if self._held is None:
            self._place(event)

    def _on_motion(self, event: MouseEvent) -> None:
        if self._held is None:
            return
        self._moved |= hypot(event.x - self._pressed.x, event.y - self._pressed.y) > STILL
        if self._moved:
            self._drag(self._held, *self._position(event))

    def _on_release(self, event: MouseEvent) -> None:
        held, self._held = self._held, None
        if held is None or event.button != MouseButton.LEFT:
            return
        if self._moved:
            self._drop(held, *self._position(event))
        # Browsers send a double click as two clicks.
        elif monotonic() - self._placed > DOUBLE_CLICK or self._near(self._pressed, STILL) is None:
            self._place(self._pressed)

    def _place(self, event: MouseEvent) -> None:
        self._placed = monotonic()
        self._click(*self._position(event))

    def _near(self, event: MouseEvent, reach: float) -> int | None:
        """Return which point lies within so many pixels of the mouse."""
        points = self._points()
        if not points:
            return None
        distances = np.hypot(*(self.axes.transData.transform(points) - (event.x, event.y)).T)
        nearest = int(distances.argmin())
        scale = self.axes.figure.canvas.device_pixel_ratio
        return nearest if distances[nearest] <= reach * scale else None

    def _position(self, event: MouseEvent) -> tuple[float, float]:
        """Return the image's x, y under the mouse, also beside the axes, there to whole pixels."""
        if event.inaxes is self.axes and event.xdata is not None and event.ydata is not None:
            return event.xdata, event.ydata
        x, y = self.axes.transData.inverted().transform((event.x, event.y))
        return float(x), float(y)
