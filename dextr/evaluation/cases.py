"""A page of an evaluation's worst and best cases."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dextr.evaluation.report import write_text
from dextr.evaluation.scoring import Outcome
from dextr.geometry import Box
from dextr.metrics import ObjectScore
from dextr.visualize import contact_sheet, overlay, save_picture

CASES = 20
MARGIN = 30
LONG_SIDE = 480
STYLE = """
body { font: 15px/1.4 sans-serif; margin: 2em; color: #222 }
section { display: flex; flex-wrap: wrap; gap: 1em }
figure { margin: 0; width: 300px }
img { max-width: 100% }
figure img { max-height: 300px; image-rendering: pixelated }
pre { background: #f4f4f4; padding: 1em; overflow: auto }
"""


@dataclass(frozen=True)
class Case:
    """One picture of the page, (H, W, 3), and what is said below it."""

    picture: NDArray[np.uint8]
    caption: str


def write_page(
    folder: str | PathLike[str],
    title: str,
    table: str,
    scores: Sequence[ObjectScore],
    outcomes_of: Callable[[list[int]], Iterable[Outcome]],
    category_names: Sequence[str] = (),
    cases: int = CASES,
    pictures: Sequence[str] = (),
) -> Path:
    """Write `index.html`, its pictures, and the same as two sheets, `worst.png` and `best.png`.

    Args:
        folder: Where to.
        title: What was evaluated.
        table: The numbers, as text.
        scores: Every object's score.
        outcomes_of: Gives the outcomes of some rows again, in their order.
        category_names: Names by category index.
        cases: Number of cases of either kind.
        pictures: Files in the folder that are shown below the table.

    Returns:
        The page's path.
    """
    root = Path(folder)
    ranked = sorted(scores, key=lambda s: (s.iou, s.row))
    parts = []
    for kind, chosen in (("worst", ranked[:cases]), ("best", ranked[::-1][:cases])):
        shown = list(_cases(chosen, outcomes_of, category_names))
        sheet = contact_sheet([(case.picture, case.caption) for case in shown])
        save_picture(root / f"{kind}.png", sheet)
        parts.append(f'<h2>{kind.title()} <a href="{kind}.png">as one picture</a></h2>\n<section>')
        for number, case in enumerate(shown, 1):
            file = f"images/{kind}_{number:02d}.png"
            save_picture(root / file, case.picture)
            parts.append(_figure(file, case.caption))
        parts.append("</section>")
    text = (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f"<title>{html.escape(title)}</title>\n<style>{STYLE}</style>\n"
        f"<h1>{html.escape(title)}</h1>\n<pre>{html.escape(table)}</pre>\n"
        + "".join(f'<p><img src="{file}" alt="{file}"></p>\n' for file in pictures)
        + "<p>Filled: the prediction. Green line: the truth. Dots: the points given.</p>\n"
        + "\n".join(parts)
        + "\n</html>\n"
    )
    write_text(root / "index.html", text)
    return root / "index.html"


def _figure(file: str, caption: str) -> str:
    text = html.escape(caption)
    return (
        f'<figure><a href="{file}"><img src="{file}" alt="{text}" loading="lazy"></a>'
        f"<figcaption>{text}</figcaption></figure>"
    )


def _cases(
    scores: Sequence[ObjectScore],
    outcomes_of: Callable[[list[int]], Iterable[Outcome]],
    category_names: Sequence[str],
) -> Iterator[Case]:
    for score, outcome in zip(scores, outcomes_of([s.row for s in scores]), strict=True):
        category = category_names[score.category] if category_names and score.category >= 0 else ""
        caption = f"IoU {100 * score.iou:.1f} {score.name} {category} {score.area} px"
        yield Case(draw_case(outcome), " ".join(caption.split()))


def draw_case(outcome: Outcome) -> NDArray[np.uint8]:
    """Return the object's surroundings, enlarged, with prediction, truth's outline and points."""
    truth, found = outcome.instance.mask, outcome.mask
    box = Box.of_mask(truth | found).relaxed(MARGIN).inside(outcome.instance.hw)
    scale = max(1, LONG_SIDE // max(box.hw))

    def enlarged(array: NDArray) -> NDArray[np.uint8]:
        part = np.ascontiguousarray(array[box.slices()], dtype=np.uint8)
        return part.repeat(scale, axis=0).repeat(scale, axis=1)

    points = (outcome.points - (box.x0, box.y0) + 0.5) * scale - 0.5
    picture = overlay(enlarged(outcome.instance.image), [enlarged(found)])
    return overlay(picture, [enlarged(truth)], [points], alpha=0, first=2)
