"""What an annotator does to one image: clicks, masks, accepted objects. No window in here."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from dextr.annotation.objects import NO_LABEL, AnnotatedImage, AnnotatedObject
from dextr.common.label_png import MOST_OBJECTS
from dextr.common.rle import mask_to_rle
from dextr.points import SIDES
from dextr.samples import Prediction

Point = tuple[float, float]

NEEDED = 4
THRESHOLD_RANGE = (0.05, 0.95)


class ClickSession:
    """The state behind the click window.

    Whoever drives it runs the network when `waiting` and hands the answer to `receive` with the
    `revision` it was made for; answers that come too late are dropped.

    Attributes:
        hw: Height and width of the image.
        threshold: Probability above which a pixel is the current object's.
        label: Name of its category.
        points: The current object's clicks, xy.
        accepted: The finished objects.
        revision: Grows with every change of the points.
        note: What happened last, for the annotator; may be empty.

    >>> session = ClickSession((60, 80), threshold=0.8)
    >>> session.click(10, 30)
    >>> session.status
    'Object 1: 3 more points (left-, right-, top-, bottom-most, in any order)'
    """

    def __init__(self, hw: tuple[int, int], threshold: float, label: str = NO_LABEL) -> None:
        self.hw = hw
        self.threshold = threshold
        self.label = label
        self.points: list[Point] = []
        self.accepted: list[AnnotatedObject] = []
        self.revision = 0
        self.note = ""
        self._history: list[list[Point]] = []
        self._prediction: Prediction | None = None
        self._seconds = 0.0
        self._problem = ""
        self._answered = -1

    @classmethod
    def of_record(cls, record: AnnotatedImage, threshold: float, label: str) -> ClickSession:
        """Return a session that goes on where another was left."""
        session = cls(record.hw, threshold, label)
        # Copies, whose masks go when this session does.
        session.accepted = [replace(annotated) for annotated in record.objects]
        if record.draft is not None:
            session._reopen(record.draft)
        return session

    def record(self, name: str) -> AnnotatedImage:
        """Return what was done so far on the image of that name."""
        points, draft = np.array(self.points, np.float64), None
        if self.points:
            draft = AnnotatedObject(self.number, self.label, points, self.threshold)
        return AnnotatedImage(name, self.hw, [replace(o) for o in self.accepted], draft=draft)

    @property
    def number(self) -> int:
        """The current object's number, from 1."""
        return len(self.accepted) + 1

    @property
    def waiting(self) -> bool:
        """Whether there are enough points and no answer to them yet."""
        return len(self.points) >= NEEDED and self._answered != self.revision

    @property
    def mask(self) -> NDArray[np.bool_] | None:
        """The current object's mask (H, W) at the current threshold; None before there is one."""
        if self._prediction is None:
            return None
        return replace(self._prediction, threshold=self.threshold).mask

    @property
    def status(self) -> str:
        """What the annotator should do next, in one line."""
        label = "" if self.label == NO_LABEL else f" ({self.label})"
        return f"Object {self.number}{label}: {self._next_step()}"

    def _next_step(self) -> str:
        missing, sides = NEEDED - len(self.points), "-, ".join(SIDES) + "-most"
        if missing == NEEDED:
            return f"click its {sides} points, in any order"
        if missing > 0:
            return f"{missing} more point{'s' * (missing > 1)} ({sides}, in any order)"
        if self.waiting:
            return "the network is at work ..."
        if self._problem:
            return self._problem
        if not np.any(self.mask):
            return f"no pixel is above the threshold {self.threshold:.2f}: lower it with -"
        return (
            f"mask after {self._seconds:.2f} s, threshold {self.threshold:.2f}. "
            "Enter: next object; or click on its true outline to refine it"
        )

    def click(self, x: float, y: float) -> None:
        """Add a point of the current object; beside the image it only leaves a note."""
        height, width = self.hw
        if -0.5 <= x <= width - 0.5 and -0.5 <= y <= height - 0.5:
            self._set_points([*self.points, (x, y)], undoable=True)
        else:
            self.note = "that click was outside the image"

    def move(self, index: int, x: float, y: float) -> None:
        """Put a point of the current object elsewhere, at most to the border of the image."""
        height, width = self.hw
        moved = (float(np.clip(x, 0, width - 1)), float(np.clip(y, 0, height - 1)))
        points = [*self.points[:index], moved, *self.points[index + 1 :]]
        self._set_points(points, undoable=True)

    def clear(self) -> None:
        """Take all points of the current object back."""
        if self.points:
            self._set_points([], undoable=True)
            self.note = "points cleared; z brings them back"
        else:
            self.note = "no points to clear"

    def undo(self) -> None:
        """Take back the last change of the points, or open the last accepted object again."""
        if self._history:
            self._set_points(self._history.pop())
        elif self.accepted:
            self._reopen(self.accepted.pop())
            self.note = f"object {self.number} is open again"
        else:
            self.note = "nothing to undo"

    def receive(
        self, revision: int, prediction: Prediction | None, seconds: float = 0, problem: str = ""
    ) -> None:
        """Take the network's answer for the points of that revision, or why they give no mask."""
        if self.waiting and revision == self.revision:
            self._answered = revision
            self._prediction, self._seconds, self._problem = prediction, seconds, problem

    @property
    def current(self) -> AnnotatedObject | None:
        """The current object as it would be accepted; None while it has no mask."""
        mask = self.mask
        if self.waiting or mask is None or not mask.any():
            return None
        points = np.array(self.points, np.float64)
        return AnnotatedObject(self.number, self.label, points, self.threshold, mask_to_rle(mask))

    def accept(self) -> bool:
        """Finish the current object and start the next; False, with a note, if there is no mask."""
        current = self.current
        if current is None:
            self.note = "there is no mask to accept yet"
            return False
        if len(self.accepted) == MOST_OBJECTS:
            self.note = f"a palette PNG holds {MOST_OBJECTS} objects: go on with another image"
            return False
        self.accepted.append(current)
        self._history = []
        self._set_points([])
        return True

    def change_threshold(self, step: float) -> None:
        """Move the threshold; the mask follows at once, the network does not run again."""
        low, high = THRESHOLD_RANGE
        self.threshold = round(min(max(self.threshold + step, low), high), 4)
        self.note = f"threshold {self.threshold:.2f}"

    def _reopen(self, annotated: AnnotatedObject) -> None:
        self.threshold, self.label = annotated.threshold, annotated.label
        points = [(x, y) for x, y in annotated.points.tolist()]
        self._history = [points[:k] for k in range(len(points))]
        self._prediction = None
        self._set_points(points)

    def _set_points(self, points: list[Point], undoable: bool = False) -> None:
        if undoable:
            self._history.append(self.points)
        self.points = points
        self.revision += 1
        self.note = self._problem = ""
        if len(points) < NEEDED:
            self._prediction = None
