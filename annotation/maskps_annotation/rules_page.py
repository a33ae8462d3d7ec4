"""rules.html: what an annotator has to know, on one page with pictures that needs no network.

In a pack of corrections, its first section shows whom to draw again, and why; in one with proposed outlines,
what to do with them.
"""

from __future__ import annotations

from functools import cache
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from maskps.io.html import base_style, content_policy
from maskps.io.images import read_image
from maskps.masks.outlines import Outline
from maskps.pictures.drawing import INK, crop_tile, draw_frame, paint_outline
from maskps_annotation.pack_files import reason_text
from maskps_annotation.pack_record import Pack, Slot
from maskps_annotation.rules_pictures import SIZE, examples, jpeg_url

RULES_NAME = "rules.html"

_RULES = (
    (
        "who",
        "Only persons with a rectangle",
        "Every rectangle p1, p2, ... marks one person to draw. Draw nobody else, and leave the rectangles as "
        "they are. Choose the polygon tool (Ctrl+N), outline the person, and pick the rectangle's name as "
        "the label.",
    ),
    (
        "visible",
        "Only what can be seen",
        "The outline ends where something or somebody stands in front. The outlines of two persons never "
        "overlap.",
    ),
    (
        "things",
        "Bags, luggage and prams belong to the person",
        "Whatever a person carries, wears, pulls or pushes is inside the outline. Draw it together with the "
        "person, or as a separate polygon with the same label and the flag 'accessory' ticked.",
    ),
    (
        "parts",
        "A person in several parts",
        "Where a bar or a bench cuts a person in two, draw each part. Give all parts the person's label and "
        "the same group number (group_id: any number).",
    ),
    (
        "holes",
        "Holes",
        "Where the background shows through, draw it as a polygon with the person's label and tick 'hole'. "
        "Leave out gaps narrower than a hand.",
    ),
)

_LAST = (
    "Tick 'done' (Flags, on the right) when every person of the image is drawn. LabelMe then saves at once.",
    "Tick 'problem' if you cannot finish an image: a wrong rectangle, a broken picture, a person not found.",
    "Tick 'unsure' at a polygon that somebody else should check.",
    "Do not rename, move or delete files, and leave 'Keep Previous Annotation' off.",
    "The lines of a polygon must not cross. 20 to 60 points are enough for most persons.",
)

_WIDTH, _HEIGHT = 180, 240  # pixels of the picture of a person to correct

_CONTEXT = 0.15  # of the region's sides, around it

_HOW = (
    "A reviewer did not accept these outlines. Each image opens with the outline as it is: move, add and "
    "delete points, or delete the polygon and draw the person again. The description of the rectangle also "
    "gives the reason. An unchanged outline counts as not done; if you think it is right, tick 'problem'. "
    "Draw nobody without a rectangle."
)

_PROPOSED = (
    "Would you have drawn it like this? Then leave it as it is.",
    "Is it nearly right? Move, add and delete points until it is.",
    "Is it wrong? Delete it, and draw the person with the polygon tool.",
    "A person without a proposed outline is drawn as usual.",
    "At the end tick one of two flags (Flags, on the right). 'proposals-checked': you looked at each "
    "proposed outline of the image, and those that you left alone are right. 'done': you left none alone.",
)

_RIGHT, _WRONG = '<b class="good">Right.</b>', '<b class="bad">Wrong.</b>'

_STYLE = """
code { white-space: nowrap; }
li { margin: .3rem 0; }
.crops { --crop: 10rem; margin: .8rem 0 0; }
.crops img { width: 100%; border: 1px solid var(--line); }
.reasons { white-space: pre-line; overflow-wrap: anywhere; }
@media print { .crops { --crop: 40mm; } }
@media (min-width: 40.01rem), print {
  .rule { display: grid; grid-template: auto 1fr / minmax(0, 1fr) 21rem; gap: 0 1.2rem; }
  .rule > * { grid-column: 1; }
  .rule > .crops { grid-area: 1 / 2 / span 2; margin: 0; }
}
"""


def rules_page(first: str = "") -> str:
    """Returns the page.

    Args:
        first: HTML of the annotator's own section, before the rules.
    """
    style = base_style() + _STYLE
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{content_policy(style)}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>How to draw the outlines</title>\n<style>{style}</style>\n</head>\n"
        '<body class="narrow">\n<header>\n<h1>How to draw the outlines</h1>\n'
        '<p class="note">Open this folder with <code>maskps-data annotate open</code>; it starts LabelMe '
        f"with the right settings.</p>\n</header>\n<main>\n{first}{_rules()}</main>\n</body>\n</html>\n"
    )


@cache
def _rules() -> str:
    sections = []
    for number, (name, title, text) in enumerate(_RULES, start=1):
        figures = "".join(
            f'<figure><img src="{one.data_url()}" width="{SIZE[0]}" height="{SIZE[1]}" alt="">'
            f"<figcaption>{_RIGHT if one.is_right else _WRONG} {escape(one.text)}</figcaption></figure>"
            for one in examples()[name]
        )
        sections.append(_card(f"{number}. {escape(title)}", _with_pictures(text, figures), kind="card rule"))
    last = "\n".join(f"<li>{escape(line)}</li>" for line in _LAST)
    last = _card(f"{len(_RULES) + 1}. At the end, and in general", f"<ul>\n{last}\n</ul>\n")
    return "".join(sections) + last


def _card(title: str, body: str, kind: str = "card") -> str:
    return f'<section class="{kind}">\n<h2>{title}</h2>\n{body}</section>\n'


def _with_pictures(text: str, figures: str) -> str:
    return f'<p>{escape(text)}</p>\n<div class="crops">\n{figures}\n</div>\n'


def correction_section(pack: Pack, folder: Path) -> str:
    """Returns HTML with image, slot, reasons and picture of every person to correct; "" if there is nobody.

    Args:
        folder: holds the images of the pack.

    Raises:
        InputFileError: an image is missing or broken.
    """
    figures = []
    for scene in pack.scenes:
        slots = [slot for slot in scene.slots if slot.correction is not None]
        picture = Image.fromarray(read_image(folder / scene.image)) if slots else None
        figures += [_correction_figure(scene.image, slot, picture) for slot in slots if picture is not None]
    if not figures:
        return ""
    return _card("What to correct", _with_pictures(_HOW, "\n".join(figures)), kind="card long")


def proposal_section() -> str:
    """Returns HTML on what to do with outlines that a program proposed."""
    lines = "\n".join(f"<li>{escape(line)}</li>" for line in _PROPOSED)
    return _card(
        "Proposed outlines",
        "<p>A program has drawn a first outline of most persons. It has not understood the rules below: it "
        "may leave out a bag or a foot, or draw what stands in front. Look at each outline, close up:</p>\n"
        f"<ul>\n{lines}\n</ul>\n<p>Once you tick 'proposals-checked', those outlines count as yours. A "
        "proposed outline that nobody changed and nobody ticked counts as not drawn.</p>\n",
    )


def _correction_figure(image: str, slot: Slot, picture: Image.Image) -> str:
    url = jpeg_url(_correction_picture(slot, picture), quality=80)
    name = escape(slot.name)
    return (
        f'<figure><img src="{url}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'alt="{name} as it is now"><figcaption><b>{name}</b> in <bdi>{escape(image)}</bdi>'
        f'<div class="reasons" dir="auto">{escape(reason_text(slot))}</div></figcaption></figure>'
    )


def _correction_picture(slot: Slot, picture: Image.Image) -> Image.Image:
    """Returns a picture with the person's box, dark, and the rejected outline."""
    outline = slot.correction.outline if slot.correction is not None else Outline(())
    box = np.array(slot.box)
    around = box if outline.is_empty else np.array([box, outline.bounds])
    region = np.concatenate(
        [around.reshape(-1, 4)[:, :2].min(axis=0), around.reshape(-1, 4)[:, 2:].max(axis=0)]
    )
    tile, place = crop_tile(picture, region, (_WIDTH, _HEIGHT), context=_CONTEXT)
    scale = (place[2:] - place[:2]) / (region[2:] - region[:2])

    def moved(points: np.ndarray) -> np.ndarray:
        return (points - region[:2]) * scale + place[:2]

    paint_outline(tile, Outline(tuple(moved(ring) for ring in outline.rings)))
    draw_frame(tile, moved(box.reshape(2, 2)).reshape(-1).tolist(), INK, width=2)
    return tile
