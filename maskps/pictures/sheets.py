"""Sheets of pictures: the mask subset with its targets, predicted masks, and ranked search results.

The input is plain arrays and records. The output is a Pillow image for display at half its size, with twice
the pixels of an ordinary screen.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskps.evaluation.methods import COSINE, Method
from maskps.evaluation.ranking import RankedHit
from maskps.masks.outlines import Outline
from maskps.pictures.drawing import (
    BLUE,
    GREEN,
    HAIRLINE,
    INK,
    ORANGE,
    PAPER,
    SOFT_INK,
    VERMILION,
    Picture,
    crop_tile,
    dim_outside,
    draw_frame,
    draw_mark,
    open_picture,
    overlay_target,
    paint_outline,
    target_tile,
    text_width,
    write_text,
)
from maskps.structures import BACKGROUND_PID

_WIDTH = 2400
_MARGIN = 72
_TITLE, _TEXT, _SMALL = 60, 34, 30


@dataclass(frozen=True)
class SubsetPicture:
    """One image of the mask subset.

    Attributes:
        name: file name of the scene.
        image: the scene.
        boxes: (n, 4) xyxy of all persons, pixels of the scene.
        pids: (n,) labeled above 0, otherwise -1.
        outlines: by person (row of `boxes`), of those who have one.
        targets: by person, (14, 14) bool or covered fractions.
    """

    name: str
    image: Picture
    boxes: NDArray[np.floating]
    pids: NDArray[np.integer]
    outlines: Mapping[int, Outline]
    targets: Mapping[int, NDArray]


@dataclass(frozen=True)
class RankingPicture:
    """One query with its best results.

    Attributes:
        query_id: the data set's identity of the query.
        image_name: of the query's scene.
        image: the scene.
        box: (4,) xyxy of the query in it.
        hits: the first results, best first (`maskps.evaluation.ranked_results`).
        truths: number of gallery images with the query's person that count by the rules.
        average_precision: of the whole ranking.
    """

    query_id: str
    image_name: str
    image: Picture
    box: NDArray[np.floating]
    hits: Sequence[RankedHit]
    truths: int
    average_precision: float


@dataclass(frozen=True)
class MaskPicture:
    """One person with the true and the predicted mask.

    Attributes:
        image: the scene.
        image_name: its file name.
        box: (4,) xyxy of the person, pixels of the scene.
        outline: of the person, likewise.
        target, predicted: (S, S) the true mask, and the predicted probabilities, in the box.
        iou: of both, the predicted mask being binary.
    """

    image: Picture
    image_name: str
    box: NDArray[np.floating]
    outline: Outline
    target: NDArray
    predicted: NDArray
    iou: float


def subset_sheet(
    pictures: Sequence[SubsetPicture], *, title: str = "The mask subset", max_persons: int = 4
) -> Image.Image:
    """Returns scenes with their outlines and, beside each scene, the 14x14 targets of its labeled persons.

    Labeled persons have a solid blue box and a number, unlabeled ones a dashed orange box. Up to
    `max_persons` labeled persons with a target follow: the crop, the target as squares, and the crop darkened
    where the target is 0.
    """
    rows = [_subset_row(picture, max_persons) for picture in pictures]
    return _sheet(title, _draw_subset_legend, rows, gap=84)


def ranking_sheet(
    rankings: Sequence[RankingPicture],
    image_of: Callable[[str], Picture],
    *,
    title: str = "Search results",
    k: int = 8,
    method: Method = COSINE,
) -> Image.Image:
    """Returns one row per query: the query, then its first `k` results with some context.

    Right answers have a solid green frame and a tick, wrong ones a dashed vermilion frame and a cross. Rank,
    similarity and the image's name stand below each answer, and a summary of the query at the end of the row.

    Args:
        image_of: returns the gallery image with a name.
        method: that ranked them; it decides whether the number below is a similarity or a distance.
    """
    columns = min(k, max((len(ranking.hits) for ranking in rankings), default=1))
    rows = [_ranking_row(ranking, image_of, k, max(columns, 1), method) for ranking in rankings]
    return _sheet(title, partial(_draw_ranking_legend, method=method), rows, gap=72)


def mask_sheet(pictures: Sequence[MaskPicture], *, title: str = "Predicted masks") -> Image.Image:
    """Returns persons with their outline, and seen through the true and the predicted mask.

    A cell of the predicted mask is as dark as the network thinks that it is not the person.
    """
    columns, gap = 4, 56
    cards = [_mask_card(picture) for picture in pictures]
    rows = []
    for start in range(0, len(cards), columns):
        row = Image.new("RGB", (_WIDTH - 2 * _MARGIN, cards[start].height), PAPER)
        for place, card in enumerate(cards[start : start + columns]):
            row.paste(card, (place * (card.width + gap), 0))
        rows.append(row)
    return _sheet(title, _draw_mask_legend, rows, gap=56)


def hit_number(hit: RankedHit, method: Method) -> str:
    """Returns the number below an answer: the similarity, "0.83", or the Euclidean distance, "d 12.3"."""
    if not method.is_distance:
        return f"{hit.similarity:.2f}"
    far = max(-hit.similarity, 0.0)
    return f"d {far:.{2 if far < 10 else 1}f}"


def _sheet(
    title: str, draw_legend: Callable[[Image.Image, int], None], rows: Sequence[Image.Image], *, gap: int
) -> Image.Image:
    """Returns title, legend and rows below each other, with `gap` empty pixels under each row."""
    legend = 2 * _MARGIN + 36
    top = legend + 96
    sheet = Image.new("RGB", (_WIDTH, top + sum(row.height + gap for row in rows)), PAPER)
    write_text(sheet, (_MARGIN, _MARGIN), title, size=_TITLE, bold=True, width=_WIDTH - 2 * _MARGIN)
    draw_legend(sheet, legend)
    for row in rows:
        sheet.paste(row, (_MARGIN, top))
        top += row.height + gap
    return sheet


def _draw_subset_legend(sheet: Image.Image, top: int) -> None:
    x = float(_MARGIN)
    for colour, dashed, text in (
        (BLUE, False, "labeled person (has an identity, gets a mask)"),
        (ORANGE, True, "unlabeled person (no mask wanted)"),
    ):
        draw_frame(sheet, [x, top - 2, x + 36, top + 36], colour, width=5, dashed=dashed)
        x = _legend_text(sheet, x + 50, top, text)
    swatch = Image.new("RGB", (38, 38), PAPER)
    paint_outline(swatch, Outline((np.array([[4, 4], [34, 4], [34, 34], [4, 34]], dtype=np.float64),)))
    sheet.paste(swatch, (round(x), top - 2))
    x = _legend_text(sheet, x + 50, top, "drawn outline")
    sheet.paste(target_tile(np.eye(2), 38), (round(x), top - 2))
    _legend_text(sheet, x + 52, top, "14x14 target: on if half covered")


def _draw_mask_legend(sheet: Image.Image, top: int) -> None:
    text = (
        "Each person: true outline; seen through the cells of the true mask; of the predicted one (darker: "
    )
    _legend_text(sheet, _MARGIN, top, text + "less probable). From the best IoU to the worst.")


def _mask_card(picture: MaskPicture) -> Image.Image:
    """Returns crop with outline, crop under the target and under the prediction, above a caption."""
    width, height, gap, caption = 164, 372, 9, 48
    card = Image.new("RGB", (3 * width + 2 * gap, height + caption), PAPER)
    image = open_picture(picture.image)
    tile, box = crop_tile(image, picture.box, (width, height))
    scale = (box[2:] - box[:2]) / (picture.box[2:] - picture.box[:2])
    moved = tuple((ring - picture.box[:2]) * scale + box[:2] for ring in picture.outline.rings)
    outlined = tile.copy()
    paint_outline(outlined, Outline(moved))
    through = (overlay_target(tile, box, mask) for mask in (picture.target, picture.predicted))
    for place, one in enumerate((outlined, *through)):
        card.paste(one, (place * (width + gap), 0))
    number = f"IoU {picture.iou:.2f}"
    write_text(card, (0, height + 12), number, size=_SMALL, bold=True)
    after = text_width(number, _SMALL) + 16
    name, room = picture.image_name, card.width - after
    write_text(card, (after, height + 12), name, size=_SMALL, colour=SOFT_INK, width=room)
    return card


def _draw_ranking_legend(sheet: Image.Image, top: int, *, method: Method) -> None:
    x = float(_MARGIN)
    for is_right, text in (
        (True, "right: the person, boxed well enough"),
        (False, "wrong: another person, background, or a second box on the same person"),
    ):
        draw_mark(sheet, (x + 20, top + 17), 44, is_right=is_right)
        x = _legend_text(sheet, x + 56, top, text)
    number = "Euclidean distance d" if method.is_distance else "cosine similarity"
    _legend_text(sheet, x, top, f"below: rank and {number}")


def _legend_text(sheet: Image.Image, x: float, top: int, text: str) -> float:
    write_text(sheet, (x, top), text, size=_SMALL, colour=SOFT_INK)
    return x + text_width(text, _SMALL) + 56


def _subset_row(picture: SubsetPicture, max_persons: int) -> Image.Image:
    image = open_picture(picture.image)
    scale = min(1060 / image.width, 800 / image.height)
    scene = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.LANCZOS)
    for outline in picture.outlines.values():
        paint_outline(scene, outline.scaled(scale, scale))
    numbers = {int(row): i + 1 for i, row in enumerate(np.flatnonzero(picture.pids > BACKGROUND_PID))}
    for row, box in enumerate(np.asarray(picture.boxes, dtype=np.float64) * scale):
        is_labeled = row in numbers
        draw_frame(scene, box, BLUE if is_labeled else ORANGE, width=5, dashed=not is_labeled)
        if is_labeled:
            _number_tag(scene, box, str(numbers[row]))
    shown = [row for row in numbers if row in picture.targets][:max_persons]
    cards = [_person_card(image, picture, row, numbers[row]) for row in shown]
    left, top = 1060 + 60, 56
    lines = (len(cards) + 1) // 2
    height = top + max(scene.height, lines * (cards[0].height + 36) - 36 if cards else 0)
    page = Image.new("RGB", (_WIDTH - 2 * _MARGIN, height), PAPER)
    write_text(page, (0, 0), picture.name, size=_TEXT, bold=True)
    counts = f"{len(numbers)} labeled, {len(picture.pids) - len(numbers)} unlabeled"
    write_text(page, (text_width(picture.name, _TEXT) + 24, 0), counts, size=_TEXT, colour=SOFT_INK)
    page.paste(scene, (0, top))
    for i, card in enumerate(cards):
        page.paste(card, (left + (i % 2) * (card.width + 32), top + (i // 2) * (card.height + 36)))
    return page


def _number_tag(scene: Image.Image, box: NDArray[np.float64], text: str) -> None:
    side = max(36, round(text_width(text, _SMALL)) + 16)
    x, y = max(round(box[0]), 0), max(round(box[1]), 0)
    scene.paste(BLUE, (x, y, x + side, y + 38))
    write_text(scene, (x + side / 2, y + 19), text, size=_SMALL, colour=PAPER, anchor="mm", bold=True)


def _person_card(image: Image.Image, picture: SubsetPicture, row: int, number: int) -> Image.Image:
    """Returns crop, target and crop under the target, side by side, under a caption."""
    height, width, gap, caption = 280, 124, 12, 48
    card = Image.new("RGB", (2 * width + height + 2 * gap, height + caption), PAPER)
    target = picture.targets[row]
    write_text(card, (0, 0), f"{number}", size=_SMALL, colour=BLUE, bold=True)
    share = float(np.mean(np.asarray(target, dtype=np.float64)))
    about = f"pid {picture.pids[row]} · {share:.0%} of cells on"
    write_text(card, (text_width(f"{number}", _SMALL) + 16, 0), about, size=_SMALL, colour=SOFT_INK)
    tile, box = crop_tile(image, picture.boxes[row], (width, height))
    card.paste(tile, (0, caption))
    card.paste(target_tile(target, height), (width + gap, caption))
    card.paste(overlay_target(tile, box, target), (width + height + 2 * gap, caption))
    return card


def _ranking_row(
    ranking: RankingPicture, image_of: Callable[[str], Picture], k: int, columns: int, method: Method
) -> Image.Image:
    gap, side_text, rule = 24, 300, 36
    width = (_WIDTH - 2 * _MARGIN - side_text - 2 * rule - (columns - 1) * gap) // (columns + 1)
    width = min(width, 300)
    height = 2 * width
    row = Image.new("RGB", (_WIDTH - 2 * _MARGIN, height + 104), PAPER)
    tile, box = crop_tile(open_picture(ranking.image), ranking.box, (width, height), context=0.15)
    row.paste(dim_outside(tile, box), (0, 0))
    draw_frame(row, [0, 0, width, height], INK, width=8)
    write_text(row, (0, height + 14), f"query {ranking.query_id}", size=_TEXT, bold=True, width=width)
    _image_name(row, 0, height, ranking.image_name, width)
    left = width + 2 * rule
    row.paste(HAIRLINE, (width + rule - 1, 0, width + rule + 2, height + 86))
    hits = list(ranking.hits)[:k]
    for place, hit in enumerate(hits):
        x = left + place * (width + gap)
        tile, box = crop_tile(open_picture(image_of(hit.image_name)), hit.box, (width, height), context=0.15)
        row.paste(dim_outside(tile, box), (x, 0))
        colour = GREEN if hit.is_match else VERMILION
        draw_frame(row, [x, 0, x + width, height], colour, width=10, dashed=not hit.is_match)
        draw_mark(row, (x + width - 34, 34), 60, is_right=hit.is_match)
        rank = f"{place + 1}."
        write_text(row, (x, height + 14), rank, size=_TEXT, bold=True)
        after = x + text_width(rank, _TEXT) + 14
        write_text(row, (after, height + 14), hit_number(hit, method), size=_TEXT, colour=SOFT_INK)
        _image_name(row, x, height, hit.image_name, width)
    _ranking_summary(row, left + columns * (width + gap) + 12, ranking, hits)
    return row


def _image_name(row: Image.Image, x: int, height: int, name: str, width: int) -> None:
    write_text(row, (x, height + 58), name, size=_SMALL, colour=SOFT_INK, width=width)


def _ranking_summary(row: Image.Image, x: int, ranking: RankingPicture, hits: Sequence[RankedHit]) -> None:
    found = sum(hit.is_match for hit in hits)
    write_text(row, (x, 0), f"{found} of {ranking.truths}", size=_TITLE, bold=True)
    write_text(row, (x, 76), "right answers", size=_SMALL, colour=SOFT_INK)
    write_text(row, (x, 114), f"in the first {len(hits)}", size=_SMALL, colour=SOFT_INK)
    write_text(row, (x, 184), f"AP {ranking.average_precision:.2f}", size=_TEXT, bold=True)
    missed = ranking.truths - found
    if missed:
        write_text(row, (x, 246), f"{missed} not among", size=_SMALL, colour=VERMILION)
        write_text(row, (x, 284), "these results", size=_SMALL, colour=VERMILION)
