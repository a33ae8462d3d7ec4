"""The person search of a trained network, as `maskps eval` measures it."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from maskps.datasets import open_dataset
from maskps.errors import TrainingError
from maskps.evaluation.background import Cutout, measure_background_sensitivity, plan_cutouts
from maskps.evaluation.detections_file import MARK, write_detections
from maskps.evaluation.extraction import Extraction, parts_folder
from maskps.evaluation.mask_quality import check_not_empty, measure_masks
from maskps.evaluation.methods import METHODS
from maskps.evaluation.result_file import ResultFile, ResultSource, write_results
from maskps.evaluation.task import ScoringOptions, SearchTask, score, score_detector, task_of_dataset
from maskps.io.files import check_output_file
from maskps.masks.outlined_persons import PersonOutlines
from maskps.model.onnx_predictor import OnnxPredictor
from maskps.model.prediction import Feature, ImagePredictor
from maskps.model.processes import Processes, open_device, open_processes, own_device
from maskps.structures import PersonSearchDataset
from maskps.training.trained import Run, load_run

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class NetworkOptions:
    """What is measured of a network, beside how it is scored.

    Attributes:
        onnx: file of `maskps export` whose graph takes the place of a run's network. It has no masks, and no
            pooled features.
        checkpoint: as `load_run`.
        feature: the vector compared.
        gt_boxes: take the annotated persons as detections.
        save_detections: file for the detections, which is replaced if the scoring options say `force`.
        outlines: called with the data set; returns outlines of its persons. The masks of those whose outline
            the run did not train with are predicted and measured (`measure_masks`), if its mask branch was
            trained.
        background_sensitivity: also measure how far embeddings depend on the background, with the outlines of
            test images (`measure_background_sensitivity`).
    """

    onnx: Path | None = None
    checkpoint: str = "last"
    feature: Feature = "embedding"
    gt_boxes: bool = False
    save_detections: Path | None = None
    outlines: Callable[[PersonSearchDataset], PersonOutlines] | None = None
    background_sensitivity: bool = False


def evaluate_run(
    root: Path,
    run: Path | None,
    scoring: ScoringOptions,
    options: NetworkOptions,
    *,
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> ResultFile | None:
    """Returns the results of a run's network on a data set, after writing them to `scoring.out`.

    An evaluation that was stopped resumes: see `Extraction`. Under torchrun each process does its share of
    the images; the first one scores and writes, the others return None.

    Args:
        root: folder of the data set.
        run: folder of the run; None with `options.onnx`.
        progress: called after each image with (images done, images in all); then likewise for images with
            outlines, and for persons before other backgrounds.

    Raises:
        MaskpsError: as `task_of_dataset`, `load_run`, `Extraction`, `score` and `options.outlines`; a file to
            write exists or cannot be written; outlines, but only such as the run trained with, or a mask
            branch that was not trained. All but broken images is checked before the first image is read.
    """
    place = own_device(open_device(device))
    with open_processes(place) as processes:
        work = processes.together(lambda: _prepare(root, run, scoring, options, place, processes))
        work.extraction.run(progress)
    if not processes.is_first:
        return None
    detections = work.extraction.detections()
    quality = None
    if work.network is not None and work.outlines is not None:
        quality = measure_masks(work.network.predictor(), work.dataset, work.outlines, progress=progress)
    sensitivity = None
    if work.network is not None and work.cutouts is not None:
        predictor = work.network.predictor(feature=options.feature)
        sensitivity = measure_background_sensitivity(predictor, work.dataset, work.cutouts, progress=progress)
    if options.save_detections is not None:
        write_detections(options.save_detections, detections)
    results = ResultFile(
        data=work.task.data,
        source=dataclasses.replace(
            work.source,
            detections=None if options.save_detections is None else scoring.recorded(options.save_detections),
        ),
        results=score(work.task, detections, scoring, feature=options.feature),
        detection={} if options.gt_boxes else score_detector(work.task, detections, scoring),
        mask_quality=quality,
        background_sensitivity=sensitivity,
    )
    if scoring.out is not None:
        write_results(scoring.out, results)
    work.extraction.finish()
    return results


class _Work(NamedTuple):
    """What one evaluation needs, opened and checked."""

    dataset: PersonSearchDataset
    task: SearchTask
    network: Run | None
    source: ResultSource
    extraction: Extraction
    outlines: PersonOutlines | None
    cutouts: list[Cutout] | None


def _prepare(
    root: Path,
    run: Path | None,
    scoring: ScoringOptions,
    options: NetworkOptions,
    place: torch.device,
    processes: Processes,
) -> _Work:
    scoring.check_output()
    if options.save_detections is not None:
        check_output_file(options.save_detections, mark=MARK, force=scoring.force)
    dataset = open_dataset(root)
    task = task_of_dataset(dataset, scoring)
    methods = [METHODS[name] for name in scoring.methods]
    unit_length = not any(method.is_distance for method in methods)
    network = outlines = cutouts = None
    predictor: ImagePredictor
    if options.onnx is not None:
        predictor = file = OnnxPredictor(options.onnx, unit_length=unit_length)
        settings = dataclasses.asdict(file.info)
        source = ResultSource(run=str(options.onnx), recipe=file.recipe or None, terms=file.terms or None)
    else:
        assert run is not None, "a run, or options.onnx"
        network = load_run(run, device=place, checkpoint=options.checkpoint)
        predictor = network.predictor(feature=options.feature, unit_length=unit_length)
        settings = dataclasses.asdict(network.config)
        source = _source(run, network)
        if options.outlines is not None:
            _check_mask_branch(run, network, is_needed=not options.background_sensitivity)
            drawn = options.outlines(dataset).without_images(network.info.images_with_masks, dataset)
            check_not_empty(drawn)
            outlines = drawn if network.has_mask_branch else None
            cutouts = plan_cutouts(dataset, drawn) if options.background_sensitivity else None
    extraction = Extraction(
        predictor,
        dataset,
        list(task.protocols.values()),
        folder=parts_folder(run, options.save_detections),
        settings=settings,
        gt_boxes=options.gt_boxes,
        query_images=any(method.needs_query_images for method in methods),
        processes=processes,
    )
    return _Work(dataset, task, network, source, extraction, outlines, cutouts)


def _source(run: Path, network: Run) -> ResultSource:
    """Returns what a result file says of a run's network."""
    return ResultSource(
        run=str(run),
        masks=network.info.persons_with_mask > 0,
        recipe=network.recipe,
        step=None if network.info.origin else network.step,
        terms=network.info.terms or None,
    )


def _check_mask_branch(run: Path, network: Run, *, is_needed: bool) -> None:
    """Checks that the mask branch was trained: else an error, or a warning if its masks can be left out."""
    if network.has_mask_branch:
        return
    if not is_needed:
        _logger.warning("The mask branch of %s was not trained; its masks are not measured.", run)
        return
    raise TrainingError(
        f"--outlines with {run}",
        expected="a network whose masks can be measured",
        found="the mask branch was not trained",
        hint="leave out --outlines, or add --background-sensitivity, which needs no mask branch",
    )
