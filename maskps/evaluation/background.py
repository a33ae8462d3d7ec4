"""How far embeddings depend on the background: the same person is cut out and put before other backgrounds.

Fig. 1 of the paper is about this: persons are confused because their backgrounds are alike. A person's
versions show the same pixels inside the outline and those of other test scenes outside. Their mean cosine
distance is divided by that of different persons before different backgrounds. So 0 is a network that ignores
the background, and one whose embedding depends on nothing else has 1 (somewhat more with few test images,
since two persons may then stand before the same one).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskps.boxes import box_area
from maskps.errors import AnnotationError
from maskps.io.images import image_size, read_image
from maskps.masks.outlined_persons import PersonOutlines
from maskps.masks.outlines import Outline
from maskps.masks.pasting import paste
from maskps.structures import PersonSearchDataset

if TYPE_CHECKING:
    from maskps.model.predictor import Predictor

BACKGROUNDS = 3
"""Before so many other scenes each person is put."""

MOST_PERSONS = 200
"""So many persons are measured at most, drawn with a fixed seed."""

_TRIED = 50
"""Of so many scenes those are taken whose own persons overlap the person's box least."""


@dataclass(frozen=True)
class BackgroundSensitivity:
    """How far embeddings move with the background.

    Attributes:
        persons: measured, labeled persons of test images.
        backgrounds: of each person.
        sensitivity: the first distance divided by the second.
        between_backgrounds: mean cosine distance of the same person before two backgrounds.
        between_persons: mean cosine distance of two persons of different identities, before any backgrounds.
    """

    persons: int
    backgrounds: int
    sensitivity: float
    between_backgrounds: float
    between_persons: float

    @classmethod
    def of(cls, embeddings: NDArray[np.floating], pids: NDArray[np.int64]) -> BackgroundSensitivity:
        """Returns the numbers of embeddings.

        Args:
            embeddings: (n, K, D) of unit length, n persons before K backgrounds each; K >= 2.
            pids: (n,) identities, two different ones or more.
        """
        rows = np.asarray(embeddings, dtype=np.float64)
        persons, backgrounds = rows.shape[:2]
        pairs = list(combinations(range(backgrounds), 2))
        same = np.mean([(rows[:, one] * rows[:, other]).sum(axis=-1) for one, other in pairs])
        flat, owners = rows.reshape(persons * backgrounds, -1), np.repeat(pids, backgrounds)
        others = (flat @ flat.T)[owners[:, None] != owners].mean()
        moved, apart = max(0.0, float(1 - same)), max(0.0, float(1 - others))
        return cls(persons, backgrounds, moved / max(apart, 1e-12), moved, apart)


@dataclass(frozen=True)
class Cutout:
    """A person to be put before other backgrounds.

    Attributes:
        image: name of the person's image.
        box: (4,) float32 xyxy, as annotated.
        pid: identity.
        outline: in pixels of the image.
        backgrounds: names of other test images.
    """

    image: str
    box: NDArray[np.float32]
    pid: int
    outline: Outline
    backgrounds: tuple[str, ...]


def plan_cutouts(dataset: PersonSearchDataset, outlines: PersonOutlines) -> list[Cutout]:
    """Returns up to `MOST_PERSONS` persons of test images, each with its backgrounds.

    The choice depends on the data alone: all networks see the same pictures.

    Raises:
        AnnotationError: outlines of fewer than two identities in test images, or too few test images.
        InputFileError: an image is missing.
    """
    test = dataset.test
    rng = np.random.default_rng(0)
    drawn = np.array(sorted(outlines.test), dtype=np.int64)
    rows = np.sort(rng.permutation(drawn)[:MOST_PERSONS])
    if len(np.unique(test.pids[rows])) < 2 or len(test) <= BACKGROUNDS:
        raise AnnotationError(
            "background sensitivity",
            expected=f"outlines of two identities or more in test images, and more than {BACKGROUNDS} "
            "test images",
            found=f"outlines of {len(np.unique(test.pids[rows]))} identities, and {len(test)} test images",
            hint="draw some persons of test images in LabelMe, and give the folder of those files",
        )
    scenes = test.scene_of_person

    @cache
    def size(scene: int) -> NDArray[np.float64]:
        return np.array(image_size(dataset.image_path(str(test.names[scene]))) * 2, dtype=np.float64)

    cutouts = []
    for row in rows.tolist():
        own = int(scenes[row])
        tried = rng.permutation(np.delete(np.arange(len(test)), own))[:_TRIED]
        # Backgrounds are resized to the size of the person's image.
        hidden = [
            _overlap(test.boxes[row], test[scene].boxes * size(own) / size(scene)) for scene in tried.tolist()
        ]
        best = tried[np.argsort(hidden, kind="stable")[:BACKGROUNDS]]
        cutouts.append(
            Cutout(
                image=str(test.names[own]),
                box=test.boxes[row],
                pid=int(test.pids[row]),
                outline=outlines.test[row],
                backgrounds=tuple(test.names[best].tolist()),
            )
        )
    return cutouts


def measure_background_sensitivity(
    predictor: Predictor,
    dataset: PersonSearchDataset,
    cutouts: list[Cutout],
    *,
    progress: Callable[[int, int], None] | None = None,
) -> BackgroundSensitivity:
    """Returns how far the embeddings of these persons depend on the background.

    A background of another size is resized to that of the person's image. The network sees the whole image
    and embeds the person at the annotated box.

    Args:
        predictor: its features have length 1.
        cutouts: of `plan_cutouts`.
        progress: called after each person with (persons done, persons in all).

    Raises:
        InputFileError: an image is missing or broken.
    """
    embeddings = []
    for done, cutout in enumerate(cutouts, start=1):
        images = pasted_images(dataset, cutout)
        embeddings.append(np.concatenate([predictor.embed(image, cutout.box[None]) for image in images]))
        if progress is not None:
            progress(done, len(cutouts))
    return BackgroundSensitivity.of(np.stack(embeddings), np.array([cutout.pid for cutout in cutouts]))


def pasted_images(dataset: PersonSearchDataset, cutout: Cutout) -> list[NDArray[np.uint8]]:
    """Returns the person's versions: (H, W, 3) uint8 RGB, in the size of its image.

    Raises:
        InputFileError: an image is missing or broken.
    """
    image = read_image(dataset.image_path(cutout.image))
    size = (image.shape[1], image.shape[0])
    versions = []
    for name in cutout.backgrounds:
        background = read_image(dataset.image_path(name))
        if background.shape != image.shape:
            background = np.asarray(Image.fromarray(background).resize(size, Image.Resampling.BILINEAR))
        versions.append(paste(background, image, cutout.outline.edges()))
    return versions


def _overlap(box: NDArray[np.float32], others: NDArray[np.float64]) -> float:
    """Returns the area of a box (4,) that other boxes (n, 4) cover, each counted."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    return float(box_area(np.hstack([low, high])).sum())
