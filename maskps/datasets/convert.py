"""Writes a data set in another format, reads it back, and keeps it only if nothing was lost.

Each `format.py`, and docs/coco.md, say what a format cannot hold. Missing image sizes are no loss,
because the images have them. Neither is another order of the training scenes. But a mask subset is drawn in
that order: draw it from the data set that you use it with.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from maskps.datasets.copies import ImageCopies, check_elsewhere, place_images, write_and_compare
from maskps.datasets.formats import FORMATS
from maskps.datasets.protocols import open_protocol, protocol_names
from maskps.errors import AnnotationError
from maskps.io.files import write_json
from maskps.io.folders import folder_written_atomically
from maskps.structures import PersonSearchDataset

RECORD = "convert.json"
FORMAT = "maskps-convert"
VERSION = 1


@dataclass(frozen=True)
class ConvertSummary:
    """What was written: the content of `convert.json`.

    Attributes:
        source: kind of the data set that was read.
        kind: kind of the data set that was written.
        fingerprint: of the new data set.
        train_images, train_persons, test_images, test_persons: counts.
        protocols: name of each protocol of the source, and its name in the new data set.
        remarks: what is ordered or numbered differently.
        losses: what the format does not hold; only with `allow_loss`.
        image_dir: the folder for the images of the new data set, below its root.
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
        """Returns a human-readable line."""
        protocols = ", ".join(self.protocols.values()) or "none"
        return (
            f"{self.train_images:,} training images with {self.train_persons:,} persons, "
            f"{self.test_images:,} test images with {self.test_persons:,}; protocols: {protocols}"
        )


def convert(
    dataset: PersonSearchDataset,
    to: str,
    out: Path,
    *,
    force: bool = False,
    allow_loss: bool = False,
    images: ImageCopies = None,
    progress: Callable[[int, int], None] | None = None,
) -> ConvertSummary:
    """Writes the annotation of a data set in another format, atomically.

    The result is read again and compared with the source: names, boxes, identities, hard marks, cameras,
    sizes and protocols.

    Args:
        to: the kind to write, one of `target_kinds`; may be the one that the data set has.
        out: the new data set's root.
        force: replace a data set that this function made.
        allow_loss: keep the result even if the format does not hold everything; `losses` lists the rest.
        images: "link" makes the folder of images a link to the source's; "copy" copies the images of all
            scenes; by default no images are written.
        progress: called with (images copied, images in all).

    Raises:
        AnnotationError: something that the format cannot hold.
        ConfigError: an unknown format, or `out` is the data set itself.
        InputFileError: an image to copy, or the folder to link, is missing; or a protocol cannot be read.
        OutputError, OutputExistsError: as `folder_written_atomically`.
    """
    check_elsewhere(dataset, out)
    protocols = {name: open_protocol(dataset, name) for name in protocol_names(dataset)}
    with folder_written_atomically(out, record=RECORD, force=force) as folder:
        copy = write_and_compare(folder, dataset, protocols, to)
        if copy.losses and not allow_loss:
            raise AnnotationError(
                f"{dataset.root} as {to}",
                expected="a format that holds everything",
                found="what would be lost: " + "; ".join(copy.losses),
                hint="convert to coco, which holds everything, or leave it out with --allow-loss",
            )
        image_dir = FORMATS[to].image_dir
        place_images(dataset, folder / image_dir, images, progress)
        summary = ConvertSummary(
            source=dataset.kind,
            kind=to,
            fingerprint=copy.dataset.fingerprint,
            train_images=len(copy.dataset.train),
            train_persons=copy.dataset.train.num_persons,
            test_images=len(copy.dataset.test),
            test_persons=copy.dataset.test.num_persons,
            protocols=copy.protocols,
            remarks=copy.remarks,
            losses=copy.losses,
            image_dir=image_dir.as_posix(),
        )
        write_json(folder / RECORD, {"format": FORMAT, "version": VERSION, **summary.to_dict()})
    return summary
