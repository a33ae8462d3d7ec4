"""Subsets by name: a list of image names, or the names of the LabelMe files in a folder."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.errors import AnnotationError, ConfigError, InputFileError, MaskpsError
from maskps.io.files import explained_reading, read_json, read_text
from maskps.masks.imports.foreign import tool_of
from maskps.structures import PersonSearchDataset
from maskps.subset.select import Source, SubsetSelection, with_labeled

_log = logging.getLogger(__name__)
_LONGEST = 255  # longest file name on common file systems
_SEARCHED = 500  # unknown names that get the nearest known name
_SHOWN = 3
_OTHER_TOOLS = {".txt": "YOLO labels?", ".xml": "CVAT or Pascal VOC?", ".png": "PNG masks?"}


@dataclass(frozen=True)
class NameList:
    """Names of images as a user gave them.

    Attributes:
        source: "names": with or without the ending, e.g. "s1.jpg" or "s1"; "labelme": without ending.
        where: the file or folder they come from.
        names: in the order of the file, repeated names included.
        places: of each name, e.g. "line 7".
    """

    source: Source
    where: str
    names: tuple[str, ...]
    places: tuple[str, ...]


def read_name_list(path: Path) -> NameList:
    """Returns the names in a text file, one a line.

    Blank lines, lines that begin with "#", and what follows " #" in a line are skipped.

    Raises:
        InputFileError: missing, a folder, not UTF-8, or without a name.
    """
    what = "a text file with one image name a line"
    if path.is_dir():
        hint = "give a file; for a folder of LabelMe files there is --from-labelme"
        raise InputFileError(path, expected=what, found="a folder", hint=hint)
    with explained_reading(path, what=what):
        text = read_text(path)
    lines = [f" {line}".split(" #")[0].strip() for line in text.splitlines()]
    numbered = [(f"line {number}", line) for number, line in enumerate(lines, start=1) if line]
    if not numbered:
        raise InputFileError(
            path, expected=what, found="no name", hint="list the images, for example s1.jpg or s1"
        )
    return _name_list("names", path, numbered)


def labelme_name_list(folder: Path) -> NameList:
    """Returns the names without ending of the LabelMe files (*.json) in a folder, sorted; opens no file.

    Raises:
        InputFileError: not a folder, or one without such files.
    """
    check_labelme_folder(folder)
    stems = sorted(path.stem for path in folder.glob("[!.]*") if path.suffix.lower() == ".json")
    if not stems:
        raise InputFileError(
            folder,
            expected="a folder of LabelMe files (*.json)",
            found=f"no such file in it: {other_content(folder)}",
            hint="give the folder that holds the files themselves; "
            "import-masks reads masks of other tools (docs/from_your_tool.md)",
        )
    return _name_list("labelme", folder, [(f"{stem}.json", stem) for stem in stems])


def check_labelme_folder(folder: Path) -> None:
    """Raises InputFileError unless `folder` is a folder."""
    if folder.is_dir():
        return
    is_file = folder.exists()
    raise InputFileError(
        folder,
        expected="a folder of LabelMe files (*.json)",
        found="a file" if is_file else "no such folder",
        hint=f"give its folder, {folder.parent}" if is_file else "check the path",
    )


def other_content(folder: Path) -> str:
    """Returns what a folder holds, by the endings of its files and its first JSON file, for a message."""
    entries = sorted(folder.iterdir())
    files = [path for path in entries if path.is_file()]
    endings = Counter(path.suffix.lower() or "without ending" for path in files)
    parts = [f"{count:,} {ending}" for ending, count in endings.most_common(4)]
    parts += [f"the folder '{path.name}'" for path in entries if path.is_dir()][:2]
    shown = ", ".join(parts) or "nothing"
    kinds = [kind for ending, kind in _OTHER_TOOLS.items() if ending in endings]
    for path in [path for path in files if path.suffix.lower() == ".json"][:1]:
        with suppress(MaskpsError):
            content = read_json(path, what="a JSON file")
            is_coco = isinstance(content, dict) and isinstance(content.get("images"), list)
            kinds.append(tool_of(content)[0] or "a COCO file?" * is_coco)
    known = " or ".join(filter(None, kinds))
    return f"{shown} ({known})" if known else shown


def select_named(dataset: PersonSearchDataset, listed: NameList, *, seed: int = 0) -> SubsetSelection:
    """Returns the training images of a list; images with only unlabeled persons are not kept (Sec. 3.1).

    A repeated name counts once. Both cases are logged as warnings.

    Args:
        seed: of the order in which nested subsets grow; nothing else is drawn.

    Raises:
        AnnotationError: names of no training image, or of several. The message lists all of them, each with
            the nearest known name.
        ConfigError: a negative seed.
    """
    if seed < 0:
        raise ConfigError("seed", expected="0 or more", found=str(seed), hint="give a larger number")
    names = dataset.train.names.tolist()
    rows_by_name = _rows_by_name(names, _stem if listed.source == "labelme" else _without_ending)
    if listed.source == "names":
        rows_by_name |= {name: row for row, name in enumerate(names)}
    rows = np.array([rows_by_name.get(name, -1) for name in listed.names], dtype=np.int64)
    _refuse_unknown(dataset, listed, np.flatnonzero(rows < 0), rows_by_name)
    drawn = np.unique(rows)
    kept = with_labeled(dataset.train, drawn)
    if len(drawn) < len(rows):
        order = np.argsort(rows, kind="stable")
        again = order[1:][np.diff(rows[order]) == 0]
        _warn(listed, len(again), "given twice; it counts once", (listed.names[i] for i in again[:_SHOWN]))
    dropped = np.setdiff1d(drawn, kept)
    _warn(listed, len(dropped), "with only unlabeled persons; not kept", (names[i] for i in dropped[:_SHOWN]))
    return SubsetSelection(source=listed.source, drawn=drawn, kept=kept, seed=seed)


def nearest_name(name: str, names: NDArray[np.str_]) -> int:
    """Returns the index of the nearest of one or more names; the first on ties.

    The distance is Levenshtein's: characters inserted, deleted or replaced. Case is ignored.
    """
    lowered = np.char.lower(np.asarray(names, dtype=np.str_))
    lengths = np.char.str_len(lowered)
    letters = np.ascontiguousarray(lowered).view(np.uint32).reshape(len(lowered), -1).T
    # edits[j]: between the letters of `name` read so far and the first j letters of each candidate
    edits = np.repeat(np.arange(len(letters) + 1, dtype=np.int32)[:, None], len(lowered), axis=1)
    for letter in name.lower():
        replaced = edits[:-1] + (letters != ord(letter))
        edits[0] += 1
        edits[1:] = np.minimum(replaced, edits[1:] + 1)
        for j in range(1, len(edits)):
            np.minimum(edits[j], edits[j - 1] + 1, out=edits[j])
    return int(np.argmin(edits[lengths, np.arange(len(lowered))]))


def _name_list(source: Source, where: Path, numbered: list[tuple[str, str]]) -> NameList:
    return NameList(
        source, str(where), tuple(name for _, name in numbered), tuple(place for place, _ in numbered)
    )


def _rows_by_name(names: list[str], shortened: Callable[[str], str]) -> dict[str, int]:
    """Returns rows by shortened name; -2 if several scenes share one."""
    rows: dict[str, int] = {}
    for row, name in enumerate(names):
        short = shortened(name)
        rows[short] = -2 if short in rows else row
    return rows


def _without_ending(name: str) -> str:
    folder, slash, base = name.rpartition("/")
    return folder + slash + (base.rpartition(".")[0] or base)


def _stem(name: str) -> str:
    return _without_ending(name).rpartition("/")[2]


def _refuse_unknown(
    dataset: PersonSearchDataset,
    listed: NameList,
    unknown: NDArray[np.int64],
    rows_by_name: dict[str, int],
) -> None:
    """Raises an error that lists all unknown names, if any."""
    if not len(unknown):
        return
    train = dataset.train.names
    stems = np.array([_stem(name) for name in train.tolist()], dtype=np.str_)
    test = dataset.test.names.tolist()
    tested = set(test) | set(map(_without_ending, test)) | set(map(_stem, test))
    width = max(len(listed.places[i]) for i in unknown)
    lines = []
    for count, i in enumerate(unknown.tolist()):
        name, what = listed.names[i], ""
        if rows_by_name.get(name) == -2:
            what = "several images have this name; add the folder and the ending"
        elif name in tested:
            what = "a test image"
        elif count < _SEARCHED and len(name) <= _LONGEST and len(train):
            what = f"the nearest is '{train[nearest_name(_stem(name), stems)]}'"
        shown = repr(name) if len(name) <= _LONGEST else f"{name[:60]!r}... ({len(name):,} characters)"
        lines.append(f"{listed.places[i]:<{width}}  {shown}" + f": {what}" * bool(what))
    raise AnnotationError(
        listed.where,
        expected=f"names of the {len(train):,} training images",
        found=f"{len(unknown):,} of {len(listed.names):,} names that no training image has"
        + "".join(f"\n    {line}" for line in lines),
        hint="correct or remove them" + "; a name needs no ending" * (listed.source == "names"),
    )


def _warn(listed: NameList, count: int, what: str, first: Iterable[str]) -> None:
    if count:
        more = ", ..." if count > _SHOWN else ""
        noun = "image" if count == 1 else "images"
        _log.warning("%s: %d %s %s: %s%s", listed.where, count, noun, what, ", ".join(first), more)
