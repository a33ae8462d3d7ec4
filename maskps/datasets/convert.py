"""Writes a data set in another format, reads it back, and keeps it only if nothing was lost.

    coco        holds everything
    cuhk-sysu   no cameras and no image sizes; test identities only of persons whom a TestG protocol names;
                training scenes are sorted by name; protocols are TestG<gallery size>, Occlusion, Resolution
    prw         one protocol, whose galleries are all test scenes; identities are whole numbers, images .jpg
                files; no marks as hard and no image sizes; cameras only as the names of the images tell them

Image sizes are no loss: the images tell them. Nor is the order of the training scenes, but a mask subset is
drawn in that order: draw it from the data set that it is used with.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import numpy as np

from maskps.datasets.coco.reader import IMAGE_DIR, read_coco
from maskps.datasets.coco.writer import write_coco
from maskps.datasets.compare import compare_datasets, compare_protocols
from maskps.datasets.cuhk_sysu import layout as cuhk_sysu_layout
from maskps.datasets.cuhk_sysu.reader import read_cuhk_sysu
from maskps.datasets.cuhk_sysu.writer import write_cuhk_sysu
from maskps.datasets.protocols import open_protocol, protocol_names, read_by_name
from maskps.datasets.prw import files as prw_files
from maskps.datasets.prw.reader import PRW_PROTOCOL, prw_protocol, read_prw
from maskps.datasets.prw.writer import write_prw
from maskps.errors import AnnotationError, ConfigError, InputFileError
from maskps.io.files import folder_written_atomically, write_errors_explained, write_json
from maskps.protocols.protocol import SUBSET_KEYS, SearchProtocol
from maskps.structures import PersonSearchDataset

Kind = Literal["coco", "cuhk-sysu", "prw"]
KINDS: tuple[Kind, ...] = ("coco", "cuhk-sysu", "prw")
RECORD = "convert.json"
FORMAT = "maskps-convert"
VERSION = 1

_IMAGE_DIRS = {
    "coco": Path(IMAGE_DIR),
    "cuhk-sysu": cuhk_sysu_layout.IMAGE_DIR,
    "prw": prw_files.IMAGE_DIR,
}


@dataclass(frozen=True)
class ConvertSummary:
    """What was written: the content of `convert.json`.

    Attributes:
        source: format that was read.
        kind: format that was written.
        fingerprint: of the data set as it was written.
        train_images, train_persons, test_images, test_persons: counts.
        protocols: name of each protocol of the source, and its name in the new data set.
        remarks: what is ordered or numbered otherwise.
        losses: what the format does not hold; only with `allow_loss`.
        image_dir: where the images of the new data set belong, below its root.
    """

    source: str
    kind: str
    fingerprint: str
    train_images: int
    train_persons: int
    test_images: int
    test_persons: int
    protocols: dict[str, str]
    remarks: tuple[str, ...]
    losses: tuple[str, ...]
    image_dir: str

    def to_dict(self) -> dict[str, object]:
        """Returns all fields by name."""
        return asdict(self)

    def summary(self) -> str:
        """Returns one line for people."""
        protocols = ", ".join(self.protocols.values()) or "none"
        return (
            f"{self.train_images:,} training images with {self.train_persons:,} persons, "
            f"{self.test_images:,} test images with {self.test_persons:,}; protocols: {protocols}"
        )


def convert(
    dataset: PersonSearchDataset,
    to: Kind,
    out: Path,
    *,
    force: bool = False,
    allow_loss: bool = False,
    images: Literal["link", "copy"] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> ConvertSummary:
    """Writes the annotation of a data set in another format, all of it or nothing.

    What was written is read again and compared with the source: names, boxes, identities, marks as hard,
    cameras, sizes and protocols.

    Args:
        to: "coco", "cuhk-sysu" or "prw"; the format it has already is possible, too.
        out: the new data set's root.
        force: replace a data set that this function made.
        allow_loss: keep the result also if the format does not hold everything; `losses` tells what.
        images: "link" makes the folder of images a link to the source's; "copy" copies the images of all
            scenes; by default there are none.
        progress: called with (images copied, images in all).

    Raises:
        AnnotationError: something that the format cannot hold.
        ConfigError: an unknown format, or `out` is the data set itself.
        InputFileError: an image to be copied, or the folder to be linked, is not there; or a protocol cannot
            be read.
        OutputError, OutputExistsError: as `folder_written_atomically`.
    """
    if to not in KINDS:
        raise ConfigError(
            "format", expected=f"one of {', '.join(KINDS)}", found=f"'{to}'", hint="choose one of these"
        )
    root, target = dataset.root.resolve(), out.resolve()
    if target == root or target in root.parents:
        raise ConfigError(
            out,
            expected="a folder of its own for the new data set",
            found="the data set that is converted",
            hint="choose another folder for the result",
        )
    protocols = {name: open_protocol(dataset, name) for name in protocol_names(dataset)}
    with folder_written_atomically(out, record=RECORD, force=force) as folder:
        names = _WRITERS[to](folder, dataset, protocols)
        written = _READERS[to](folder)
        found = compare_datasets(dataset, written)
        losses = [*found.losses, *_protocol_losses(protocols, names, written)]
        if losses and not allow_loss:
            raise AnnotationError(
                f"{dataset.root} as {to}",
                expected="a format that holds everything",
                found="what would be lost: " + "; ".join(losses),
                hint="convert to coco, which holds everything, or leave it out with --allow-loss",
            )
        image_dir = folder / _IMAGE_DIRS[to]
        with write_errors_explained(image_dir):
            if images == "link":
                _link_images(dataset, image_dir)
            elif images == "copy":
                _copy_images(dataset, image_dir, progress)
        summary = ConvertSummary(
            source=dataset.kind,
            kind=to,
            fingerprint=written.fingerprint,
            train_images=len(written.train),
            train_persons=written.train.num_persons,
            test_images=len(written.test),
            test_persons=written.test.num_persons,
            protocols=names,
            remarks=(*found.remarks, *_without_queries(to, names)),
            losses=tuple(losses),
            image_dir=_IMAGE_DIRS[to].as_posix(),
        )
        write_json(folder / RECORD, {"format": FORMAT, "version": VERSION, **summary.to_dict()})
    return summary


def _without_queries(to: Kind, names: Mapping[str, str]) -> list[str]:
    if to != "prw" or names:
        return []
    return ["the source has no queries: query_info.txt is empty; copy the released one into its place"]


def _protocol_losses(
    protocols: Mapping[str, SearchProtocol], names: Mapping[str, str], written: PersonSearchDataset
) -> list[str]:
    losses = [f"protocol {name}" for name in protocols if name not in names]
    losses += [f"the name of protocol {old}, which is {new}" for old, new in names.items() if old != new]
    for old, new in names.items():
        differing = compare_protocols(protocols[old], read_by_name(written, new))
        if differing:
            losses.append(f"{', '.join(differing)} of protocol {old}")
    return losses


def _write_coco(
    root: Path, dataset: PersonSearchDataset, protocols: Mapping[str, SearchProtocol]
) -> dict[str, str]:
    write_coco(root, dataset, protocols)
    return {name: name for name in protocols}


def _write_cuhk_sysu(
    root: Path, dataset: PersonSearchDataset, protocols: Mapping[str, SearchProtocol]
) -> dict[str, str]:
    names: dict[str, str] = {}
    for name, protocol in protocols.items():
        is_known = name in SUBSET_KEYS or re.fullmatch(r"TestG[1-9]\d*", name)
        names[name] = name if is_known else f"TestG{protocol.gallery_size}"
    doubled = {new for new in names.values() if list(names.values()).count(new) > 1}
    names = {old: new for old, new in names.items() if old == new or new not in doubled}
    if not any(name.startswith("TestG") for name in names.values()):
        raise AnnotationError(
            dataset.root,
            expected="a test protocol: CUHK-SYSU's test identities are those of its queries",
            found=f"protocols: {', '.join(protocols) or 'none'}",
            hint="add protocols to the data set (docs/coco.md), or convert it to coco",
        )
    write_cuhk_sysu(
        root,
        train=dataset.train,
        test=dataset.test,
        train_ids=dataset.train_ids,
        test_ids=dataset.test_ids,
        protocols={new: protocols[old] for old, new in names.items()},
    )
    return names


def _write_prw(
    root: Path, dataset: PersonSearchDataset, protocols: Mapping[str, SearchProtocol]
) -> dict[str, str]:
    name = PRW_PROTOCOL if PRW_PROTOCOL in protocols else next(iter(protocols), None)
    if name is None:  # files as released, but for the queries: a copy of query_info.txt makes it complete
        protocol = prw_protocol(
            dataset.test,
            dataset.test_ids,
            query_scenes=np.zeros(0, np.int64),
            query_boxes=np.zeros((0, 4), np.float32),
            query_ids=np.zeros(0, np.str_),
        )
        write_prw(root, dataset, protocol)
        return {}
    write_prw(root, dataset, protocols[name])
    return {name: PRW_PROTOCOL}


_WRITERS = {"coco": _write_coco, "cuhk-sysu": _write_cuhk_sysu, "prw": _write_prw}
_READERS = {"coco": read_coco, "cuhk-sysu": read_cuhk_sysu, "prw": read_prw}


def _link_images(dataset: PersonSearchDataset, image_dir: Path) -> None:
    if not dataset.image_dir.is_dir():
        raise InputFileError(
            dataset.image_dir,
            expected="the folder of images",
            found="no such folder",
            hint="convert without --images, and put the images into place later",
        )
    image_dir.parent.mkdir(parents=True, exist_ok=True)
    image_dir.symlink_to(dataset.image_dir.resolve(), target_is_directory=True)


def _copy_images(
    dataset: PersonSearchDataset, image_dir: Path, progress: Callable[[int, int], None] | None
) -> None:
    names = [*dataset.train.names.tolist(), *dataset.test.names.tolist()]
    outside = [name for name in names if name.startswith("/") or ".." in PurePosixPath(name).parts]
    if outside:
        raise AnnotationError(
            f"image '{outside[0]}'",
            expected="images below one folder",
            found="a name that leads out of it",
            hint="link the images instead of copying them",
        )
    missing = [name for name in names if not dataset.image_path(name).is_file()]
    if missing:
        raise InputFileError(
            dataset.image_path(missing[0]),
            expected="an image of the data set",
            found=f"no such file, as for {len(missing):,} of {len(names):,} images",
            hint="complete the images, or convert without --images",
        )
    for done, name in enumerate(names, start=1):
        (image_dir / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(dataset.image_path(name), image_dir / name)
        if progress is not None:
            progress(done, len(names))
