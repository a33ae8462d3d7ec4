"""Where proposed outlines come from: a run, a mask file, or torchvision's Mask R-CNN.

Nothing here imports torch before `open_proposer` opens a network.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from maskps.errors import InputFileError
from maskps.masks.mask_file import read_masks
from maskps.masks.proposed_outlines import ProposedOutline, Proposer, propose_outline, sureness_of
from maskps.structures import PersonSearchDataset, Scene
from maskps.subset.build import MASKS_NAME

MASK_RCNN = "maskrcnn:"
"""Begins the text that names a file of Mask R-CNN's weights."""


class MaskPredictor(Protocol):
    """`maskps.model.Predictor`, or its like."""

    @property
    def weights(self) -> str: ...

    def masks(self, image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the (n, S, S) foreground probabilities in boxes (n, 4), xyxy, pixels of the image."""
        ...


class RunProposer:
    """Proposes what a run's mask branch sees in the boxes of the data set.

    Args:
        predictor: of the run.
        name: of the run, for the record of who drew an outline.
    """

    def __init__(self, predictor: MaskPredictor, name: str) -> None:
        self.predictor = predictor
        self.by = f"run {name}, weights {predictor.weights[:12]}"

    def propose(self, scene: Scene, image: NDArray[np.uint8]) -> dict[int, ProposedOutline]:
        """Returns the proposals, as `Proposer`.

        Raises:
            TrainingError: the run was trained without masks.
        """
        labeled = np.flatnonzero(scene.is_labeled)
        if not len(labeled):
            return {}
        probabilities = self.predictor.masks(image, scene.boxes[labeled])
        proposals = {}
        sureness = sureness_of(probabilities).tolist()
        for index, cells, sure in zip(labeled.tolist(), probabilities, sureness, strict=True):
            outline = propose_outline(cells, scene.boxes[index])
            if outline is not None:
                proposals[index] = ProposedOutline(outline, sure, self.by)
        return proposals


class MaskFileProposer:
    """Proposes the outlines of a mask file of this data set, such as one that import-masks wrote.

    Raises:
        InputFileError, AnnotationError: as `read_masks`.
    """

    def __init__(self, path: Path, dataset: PersonSearchDataset) -> None:
        train = dataset.train
        masks = read_masks(path, train, fingerprint=dataset.fingerprint)
        by = f"masks {path.absolute().parent.name}/{path.name}"
        self.proposals: dict[str, dict[int, ProposedOutline]] = defaultdict(dict)
        scenes = train.scene_of_person
        for row, outline in masks.outlines.items():
            index = row - int(train.offsets[scenes[row]])
            self.proposals[str(train.names[scenes[row]])][index] = ProposedOutline(outline, 1.0, by)

    def propose(self, scene: Scene, image: NDArray[np.uint8]) -> dict[int, ProposedOutline]:
        """Returns the proposals, as `Proposer`; the image is not looked at."""
        return self.proposals.get(scene.name, {})


def open_proposer(source: str, dataset: PersonSearchDataset, *, device: str = "cpu") -> Proposer:
    """Returns the proposer that a text names.

    Args:
        source: a run folder; a mask file or the folder of a subset; or "maskrcnn:FILE" with the weights of
            torchvision's maskrcnn_resnet50_fpn_v2.
        dataset: whose persons need outlines.
        device: where a network computes.

    Raises:
        InputFileError: nothing there, or as the readers of these files.
        AnnotationError: a mask file of another data set.
        TrainingError: a run that has not reached its end, or was trained without masks.
    """
    path = Path(source.removeprefix(MASK_RCNN))
    if source in ("", MASK_RCNN):
        raise _not_a_source(f"--propose '{source}'", "no path", "write the path behind it")
    if source.startswith(MASK_RCNN):
        from maskps.model.mask_rcnn import MaskRcnnProposer

        return MaskRcnnProposer(path, device=device)
    if path.is_file() and path.suffix.lower() != ".json":
        hint = f"for weights of Mask R-CNN write {MASK_RCNN}{source}; for a checkpoint, the folder of its run"
        raise _not_a_source(source, "a file whose name does not end in .json", hint)
    if path.is_file():
        return MaskFileProposer(path, dataset)
    if (path / MASKS_NAME).is_file():
        return MaskFileProposer(path / MASKS_NAME, dataset)
    if not path.is_dir():
        hint = "give the folder of a run that maskps train has finished"
        raise _not_a_source(source, "no such file or folder", hint)
    from maskps.training import load_run

    predictor = load_run(path, device=device).predictor()
    predictor.check_masks()
    return RunProposer(predictor, path.absolute().name)


def _not_a_source(source: str, found: str, hint: str) -> InputFileError:
    expected = f"a run folder, a mask file (.json) or subset folder, or {MASK_RCNN}FILE"
    return InputFileError(source, expected=expected, found=found, hint=hint)
