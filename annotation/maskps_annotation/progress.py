"""How far annotators are, and how fast, by their files alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from maskps.errors import MaskpsError
from maskps.masks.labelme_file import read_labelme
from maskps_annotation.checks import CheckedFile
from maskps_annotation.pack_files import PROBLEM_FLAG, is_untouched, says_done
from maskps_annotation.pack_record import Pack, PackedScene, PackSet

PAUSE = 30 * 60.0
"""Seconds without a finished image that count as a pause."""

HASTE = 1.0
"""Seconds per person below which file times come from copying, not from drawing."""

Check = Callable[[PackedScene, Path], CheckedFile]


@dataclass(frozen=True)
class Progress:
    """How far one annotator is, or all together.

    Attributes:
        annotator: the name; "all" for all together.
        images, images_done: an image is done when its flag "done" is ticked, every person in it is drawn, and
            it has no error.
        persons, persons_done: the persons in these images.
        drawn: persons with a usable outline, in all images.
        proposals: persons with a proposed outline.
        untouched: those of them whose proposal nobody has changed or accepted.
        problems: scenes whose flag "problem" is ticked.
        errors: scenes whose flag "done" is ticked and that are not done.
        unread: scenes whose file is missing or cannot be read.
        rate: persons per hour of work; None if too few images are finished, or file times come from copying.
        hours_to_go: of work at this rate, None without a rate; for all together, the longest of all.
    """

    annotator: str
    images: int
    images_done: int
    persons: int
    persons_done: int
    drawn: int
    proposals: int
    untouched: int
    problems: tuple[str, ...]
    errors: tuple[str, ...]
    unread: tuple[str, ...]
    rate: float | None
    hours_to_go: float | None


@dataclass(frozen=True)
class _State:
    drawn: int = 0
    untouched: int = 0
    is_done: bool = False
    says_done: bool = False
    is_problem: bool = False
    is_unread: bool = False


def packs_progress(
    packs: PackSet, check: Check, *, progress: Callable[[int, int], None] | None = None
) -> list[Progress]:
    """Returns how far each annotator is, in the order of the packs.

    Args:
        check: as `checks.checked_file`.
        progress: called with (files read, files to read).
    """
    result = []
    read = 0
    for pack in packs.packs:
        states = []
        for scene in pack.scenes:
            states.append(_state(scene, pack.folder / scene.file_name, check))
            read += 1
            if progress is not None:
                progress(read, len(packs.files))
        result.append(_progress(pack, states))
    return result


def total_progress(parts: Sequence[Progress]) -> Progress:
    """Returns the progress of all annotators together; a person with two annotators counts twice."""
    hours = [part.hours_to_go for part in parts]
    rates = [part.rate for part in parts if part.rate is not None]
    known = [value for value in hours if value is not None]
    return Progress(
        annotator="all",
        images=sum(part.images for part in parts),
        images_done=sum(part.images_done for part in parts),
        persons=sum(part.persons for part in parts),
        persons_done=sum(part.persons_done for part in parts),
        drawn=sum(part.drawn for part in parts),
        proposals=sum(part.proposals for part in parts),
        untouched=sum(part.untouched for part in parts),
        problems=tuple(name for part in parts for name in part.problems),
        errors=tuple(name for part in parts for name in part.errors),
        unread=tuple(name for part in parts for name in part.unread),
        rate=sum(rates) if rates else None,
        hours_to_go=max(known, default=0.0) if len(known) == len(hours) else None,
    )


def working_rate(times: Sequence[float], persons: Sequence[int]) -> float | None:
    """Returns persons per hour, from the times in seconds at which images with these persons were finished.

    An image took the time since the previous one was finished; after a pause (`PAUSE`) the time is unknown
    and the image does not count. None if fewer than three images count, or if the times are too short for
    drawing (`HASTE`), because the files were copied.
    """
    order = np.argsort(times, kind="stable")
    took = np.diff(np.asarray(times, dtype=np.float64)[order])
    counts = np.asarray(persons, dtype=np.int64)[order][1:]
    at_work = took <= PAUSE
    seconds, drawn = float(took[at_work].sum()), int(counts[at_work].sum())
    if at_work.sum() < 3 or not drawn or seconds < HASTE * drawn:
        return None
    return 3600.0 * drawn / seconds


def _state(scene: PackedScene, path: Path, check: Check) -> _State:
    try:
        file = read_labelme(path)
    except MaskpsError:
        return _State(is_unread=True)  # missing, damaged, or being written right now
    if is_untouched(file, scene):
        return _State(untouched=sum(slot.proposal is not None for slot in scene.slots))
    checked = check(scene, path)
    is_ticked = says_done(file.flags)
    is_whole = all(slot.name in checked.outlines for slot in scene.slots)
    is_right = not any(finding.level == "error" for finding in checked.findings)
    return _State(
        drawn=len(checked.outlines),
        untouched=len(checked.untouched),
        is_done=is_ticked and is_whole and is_right,
        says_done=is_ticked,
        is_problem=file.flags.get(PROBLEM_FLAG, False),
    )


def _progress(pack: Pack, states: Sequence[_State]) -> Progress:
    done = [scene for scene, state in zip(pack.scenes, states, strict=True) if state.is_done]
    persons_done = sum(len(scene.slots) for scene in done)
    times = [(pack.folder / scene.file_name).stat().st_mtime for scene in done]
    rate = working_rate(times, [len(scene.slots) for scene in done])
    left = pack.persons - persons_done
    return Progress(
        annotator=pack.annotator,
        images=len(pack.scenes),
        images_done=len(done),
        persons=pack.persons,
        persons_done=persons_done,
        drawn=sum(state.drawn for state in states),
        proposals=pack.proposals,
        untouched=sum(state.untouched for state in states),
        problems=_named(pack, [state.is_problem for state in states]),
        errors=_named(pack, [state.says_done and not state.is_done for state in states]),
        unread=_named(pack, [state.is_unread for state in states]),
        rate=rate,
        hours_to_go=0.0 if left == 0 else None if rate is None else left / rate,
    )


def _named(pack: Pack, chosen: Sequence[bool]) -> tuple[str, ...]:
    return tuple(scene.scene for scene, is_chosen in zip(pack.scenes, chosen, strict=True) if is_chosen)
