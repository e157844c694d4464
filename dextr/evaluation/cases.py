"""An evaluation's worst and best cases: as a page, and as one sheet each."""

from __future__ import annotations

import html
from collections.abc import Sequence
from os import PathLike
from pathlib import Path

import numpy as np
from matplotlib import get_data_path
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont, ImageOps

from dextr.common.errors import UserError
from dextr.common.files import replacing
from dextr.common.processes import World
from dextr.evaluation.mask_sources import MaskSource, ScoredMask
from dextr.evaluation.scoring import score
from dextr.geometry import Box
from dextr.metrics import ObjectScore
from dextr.visualize import overlay, save_picture

CASES = 20
PICTURES = 8
MARGIN = 30
LONG_SIDE = 480
CAPTION_HEIGHT = 20
GAP = 6
Tile = tuple[NDArray[np.uint8], str]
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>
body {{ font: 15px/1.4 sans-serif; margin: 2em; color: #222 }}
figure {{ display: inline-block; vertical-align: top; margin: 0 1em 1em 0; width: 300px }}
img {{ max-width: 100% }}
figure img {{ max-height: 300px; image-rendering: pixelated }}
pre {{ background: #f4f4f4; padding: 1em; overflow: auto }}
</style>
<h1>{title}</h1>
<pre>{table}</pre>
{body}
</html>
"""
FIGURE = """<figure><a href="{file}"><img src="{file}" alt="{text}" loading="lazy"></a>
<figcaption>{text}</figcaption></figure>"""


def write_page(
    folder: str | PathLike[str],
    title: str,
    table: str,
    scores: Sequence[ObjectScore],
    source: MaskSource,
    category_names: Sequence[str] = (),
    cases: int = CASES,
    pictures: Sequence[str] = (),
) -> Path:
    """Write `index.html` with so many cases of either kind; return its path.

    The same are two sheets, `worst.png` and `best.png`. The source gives their masks again;
    `pictures` are files in the folder that are shown below the table of numbers.
    """
    root = Path(folder)
    ranked = sorted(scores, key=lambda s: (s.iou, s.row))
    parts = [f'<p><img src="{file}" alt="{file}"></p>' for file in pictures]
    parts.append("<p>Filled: the prediction. Green line: the truth. Dots: the points given.</p>")
    for kind, chosen in (("worst", ranked[:cases]), ("best", ranked[::-1][:cases])):
        drawn = source.masks([s.row for s in chosen], draw_case, {})
        tiles = list(zip(drawn, [_caption(s, category_names) for s in chosen], strict=True))
        save_picture(root / f"{kind}.png", contact_sheet(tiles))
        parts.append(f'<h2>{kind.title()} <a href="{kind}.png">as one picture</a></h2>')
        for number, (picture, caption) in enumerate(tiles, 1):
            file = f"images/{kind}_{number:02d}.png"
            save_picture(root / file, picture)
            parts.append(FIGURE.format(file=file, text=html.escape(caption)))
    text = PAGE.format(title=html.escape(title), table=html.escape(table), body="\n".join(parts))
    with replacing(root / "index.html") as temporary:
        temporary.write_text(text, encoding="utf-8")
    return root / "index.html"


def _caption(score: ObjectScore, category_names: Sequence[str]) -> str:
    category = category_names[score.category] if category_names and score.category >= 0 else ""
    return f"IoU {100 * score.iou:.1f} {score.name} {category} {score.area} px".replace("  ", " ")


def score_and_picture(
    source: MaskSource, rows: Sequence[int], world: World
) -> tuple[list[ObjectScore], NDArray[np.uint8] | None]:
    """Score objects as `score` does; in the first process, also return a sheet of the first ones.

    Only what that process scored itself is on it: a batch at least.
    """
    tiles: dict[int, Tile] = {}

    def picture(scored: ScoredMask) -> None:
        if world.main and scored.row in rows[:PICTURES]:
            drawn = overlay(scored.instance.image, [scored.mask], [scored.points])
            tiles[scored.row] = drawn, f"{scored.instance.name} IoU {100 * scored.score.iou:.1f}"

    scores, _ = score(source, rows, world, picture)
    return scores, contact_sheet([tiles[row] for row in sorted(tiles)]) if tiles else None


def draw_case(scored: ScoredMask) -> NDArray[np.uint8]:
    """Return the object's surroundings, enlarged, with prediction, truth's outline and points."""
    truth, found = scored.instance.mask, scored.mask
    box = Box.of_mask(truth | found).relaxed(MARGIN).inside(scored.instance.hw)
    scale = max(1, LONG_SIDE // max(box.hw))

    def enlarged(array: NDArray) -> NDArray[np.uint8]:
        part = np.ascontiguousarray(array[box.slices()], dtype=np.uint8)
        return part.repeat(scale, axis=0).repeat(scale, axis=1)

    points = (scored.points - (box.x0, box.y0) + 0.5) * scale - 0.5
    picture = overlay(enlarged(scored.instance.image), [enlarged(found)])
    return overlay(picture, [enlarged(truth)], [points], alpha=0, first=2)


def contact_sheet(
    tiles: Sequence[Tile], columns: int = 4, tile_hw: tuple[int, int] = (240, 320)
) -> NDArray[np.uint8]:
    """Return many pictures as one (H, W, 3), RGB, row by row, each with a line of text below.

    A tile is a picture (H, W, 3) of any size, RGB, and its caption, which is cut at the tile's
    edge. Pictures keep their aspect.

    Raises:
        ValueError: No tiles, or no columns.
    """
    if not tiles or columns < 1:
        raise UserError(f"expected tiles and columns, got {len(tiles)} tiles, {columns} columns")
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    height, width = tile_hw
    step_y, step_x = height + CAPTION_HEIGHT + GAP, width + GAP
    sheet = Image.new("RGB", (columns * step_x + GAP, rows * step_y + GAP), "white")
    # Pillow's own font has few letters beyond ASCII; matplotlib ships one that has.
    font = ImageFont.truetype(f"{get_data_path()}/fonts/ttf/DejaVuSans.ttf", 12)
    for k, (picture, caption) in enumerate(tiles):
        tile = Image.new("RGB", (width, height + CAPTION_HEIGHT), "white")
        # A box filter averages where it shrinks and repeats pixels where it enlarges.
        box, grey = Image.Resampling.BOX, (235, 235, 235)
        wide, high = picture.shape[1], picture.shape[0]
        # A line of pixels is made thick enough to be seen.
        seen = Image.fromarray(picture).resize((max(wide, high // 99), max(high, wide // 99)), box)
        tile.paste(ImageOps.pad(seen, (width, height), box, grey))
        ImageDraw.Draw(tile).text((0, height + 2), " ".join(caption.split()), "black", font)
        sheet.paste(tile, (GAP + k % columns * step_x, GAP + k // columns * step_y))
    return np.asarray(sheet)
