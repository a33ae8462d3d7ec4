"""`maskps-data annotate review`: one page on which a reviewer accepts or rejects every outline of a subset.

The page is one file that needs no other. It holds each picture as text, shown when it is scrolled near, and
everything else as one JSON object. Its HTML, style and code are in `review_page/`; `decisions` reads what it
saves.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from html import escape
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskps.errors import InputFileError
from maskps.io.files import check_output_file, written_atomically
from maskps.io.html import base_script, base_style, content_policy
from maskps.io.images import check_images, read_image
from maskps.masks.coverage import THRESHOLD, coverage_in_chunks
from maskps.structures import PersonSearchDataset
from maskps.subset import open_subset
from maskps_annotation import decisions
from maskps_annotation.decisions import outline_key
from maskps_annotation.pack_record import PackSet
from maskps_annotation.review_persons import ReviewPerson, review_persons
from maskps_annotation.review_pictures import Frame, frame_of_person, picture_of_frame

_PARTS = ("page.html", "page.css", "page.js", "cards.js", "decisions.js")
_CONTENT = "<!-- content -->"
_MARK = b'<meta name="generator" content="maskps-review">'
_RANKS = {"error": 0, "warning": 1}
_NOTHING_WRONG, _MISSING = 2, 3


@dataclass(frozen=True)
class ReviewPage:
    """What was written.

    Attributes:
        persons: on the page.
        missing: persons without an outline.
        errors, warnings: persons with an error of the checks, and persons with a warning but no error.
        bytes: size of the file.
    """

    persons: int
    missing: int
    errors: int
    warnings: int
    bytes: int


def write_review(
    subset_dir: Path,
    dataset: PersonSearchDataset,
    out: Path,
    *,
    packs: PackSet | None = None,
    force: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> ReviewPage:
    """Writes the review page of a mask subset, atomically; the same input gives the same bytes.

    Args:
        packs: adds the findings of their checks, and who draws which person.
        force: replace an existing review page at `out`.
        progress: called with (files checked and images read, total).

    Raises:
        OutputExistsError, OutputError: `out` exists, or cannot be written.
        InputFileError: the subset is damaged or empty, or an image is missing or broken.
        AnnotationError: a subset or packs of another data set.
    """
    check_output_file(out, mark=_MARK, force=force)
    subset = open_subset(subset_dir, dataset)
    train = dataset.train
    check_images(
        dataset.image_dir, [str(name) for name in train.names[subset.kept_rows]], what="images of the subset"
    )
    checks = len(packs.files) if packs is not None else 0
    total = checks + len(subset.kept_rows)

    def report(done: int, _: int = 0) -> None:
        if progress is not None:
            progress(done, total)

    persons = review_persons(subset_dir, subset, dataset, packs, progress=report)
    if not persons:
        raise InputFileError(
            subset_dir,
            expected="a subset with labeled persons",
            found="no labeled person in its images",
            hint="build the subset from images with labeled persons",
        )
    targets = _targets(persons, train.boxes)
    odd = _oddness(persons)
    before, after = _page(subset_dir.resolve().name).split(_CONTENT)
    records = []
    with written_atomically(out) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.write(before)
        of_scene = groupby(range(len(persons)), key=lambda index: persons[index].scene)
        for done, (scene, indices) in enumerate(of_scene, start=1):
            image = Image.fromarray(read_image(dataset.image_path(scene)))
            for index in indices:
                one = persons[index]
                box = train.boxes[one.row]
                drawn = [other.outline for other in one.others]
                drawn += [one.outline] if one.outline is not None else []
                frame = frame_of_person(box, drawn, image.size)
                picture = base64.b64encode(picture_of_frame(image, frame)).decode()
                stream.write(f'<script type="text/plain" id="picture-{index}">{picture}</script>\n')
                records.append(_record(one, frame, box, targets[index], odd[index]))
            report(checks + done)
        content = {
            "format": decisions.FORMAT,
            "version": decisions.VERSION,
            "fingerprint": dataset.fingerprint,
            "masks": subset.record.masks_sha256,
            "subset": subset_dir.resolve().name,
            "persons": records,
        }
        stream.write(f'<script type="application/json" id="content">{_json(content)}</script>\n')
        stream.write(after)
    ranks = [record["rank"] for record in records]
    return ReviewPage(
        persons=len(persons),
        missing=sum(one.outline is None for one in persons),
        errors=ranks.count(_RANKS["error"]),
        warnings=ranks.count(_RANKS["warning"]),
        bytes=out.stat().st_size,
    )


def _page(subset: str) -> str:
    """Returns the page without its content; its policy allows its own code and loads nothing."""
    folder = files("maskps_annotation") / "review_page"
    html, style, *scripts = ((folder / name).read_text(encoding="utf-8") for name in _PARTS)
    style = base_style() + style
    script = "\n".join([base_script(), *scripts])
    title = escape(subset.encode("utf-8", "replace").decode("utf-8"))
    policy = content_policy(style, script)
    return Template(html).substitute(title=title, policy=policy, style=style, script=script)


def _json(content: Any) -> str:
    """Returns JSON that cannot end an element of the page, whatever the names contain."""
    return json.dumps(content, separators=(",", ":")).replace("<", "\\u003c")


def _record(
    one: ReviewPerson, frame: Frame, box: NDArray[np.float32], target: NDArray[np.bool_], odd: float
) -> dict[str, Any]:
    """Returns what the page needs about a person; places in pixels of the picture."""
    rank = min((_RANKS.get(finding.level, _MISSING) for finding in one.findings), default=_MISSING)
    if one.outline is not None:
        rank = min(rank, _NOTHING_WRONG)
    return {
        "scene": one.scene,
        "person": one.person,
        "identity": one.identity,
        "outline": outline_key(one.outline),
        "by": one.drawn_by,
        "annotators": one.annotators,
        **({} if one.proposal is None else {"proposal": asdict(one.proposal)}),
        "size": frame.size,
        "box": np.round(frame.place(box.reshape(2, 2)).reshape(4), 1).tolist(),
        "path": "" if one.outline is None else frame.path(one.outline),
        "target": np.packbits(target).tobytes().hex(),
        "share": round(one.share, 4),
        "outside": round(one.outside, 4),
        "rank": rank,
        "odd": round(odd, 4),
        "findings": [
            {"level": finding.level, "code": finding.code, "who": finding.where.split("/")[0]}
            | {"found": finding.found, "hint": finding.hint}
            for finding in one.findings
        ],
        "others": [
            {"what": other.what, "path": frame.path(other.outline)}
            | {"iou": other.iou, "cells": other.changed_cells}
            for other in one.others
        ],
    }


def _targets(persons: Sequence[ReviewPerson], boxes: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Returns the (N, 14, 14) mask targets, empty for a person without outline."""
    edges = [np.zeros((0, 4)) if one.outline is None else one.outline.edges() for one in persons]
    return coverage_in_chunks(edges, boxes[[one.row for one in persons]]) >= THRESHOLD


def _oddness(persons: Sequence[ReviewPerson]) -> list[float]:
    """Returns how unlike the others each outline is, 0 to about 1.

    The larger of two numbers: the distance of its share of the box from the median of all, and its share
    outside the box.
    """
    shares = [one.share for one in persons if one.outline is not None]
    middle = float(np.median(shares)) if shares else 0.0
    return [0.0 if one.outline is None else max(abs(one.share - middle), one.outside) for one in persons]
