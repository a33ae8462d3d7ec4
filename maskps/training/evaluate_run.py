"""The person search of a trained network, as `maskps eval` measures it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import torch

from maskps.datasets import open_dataset
from maskps.evaluation.detections_file import MARK, write_detections
from maskps.evaluation.extraction import Extraction, parts_folder
from maskps.evaluation.methods import METHODS
from maskps.evaluation.result_file import ResultFile, ResultSource, write_results
from maskps.evaluation.task import ScoringOptions, SearchTask, score, score_detector, task_of_dataset
from maskps.io.files import check_output_file
from maskps.model.predictor import Feature
from maskps.model.processes import Processes, open_device, open_processes, own_device
from maskps.training.trained import Run, load_run


def evaluate_run(
    root: Path,
    run: Path,
    options: ScoringOptions,
    *,
    feature: Feature = "embedding",
    gt_boxes: bool = False,
    save_detections: Path | None = None,
    checkpoint: str = "last",
    device: torch.device | str = "cpu",
    progress: Callable[[int, int], None] | None = None,
) -> ResultFile | None:
    """Returns the results of a run's network on a data set, after writing them to `options.out`.

    An evaluation that was stopped resumes: see `Extraction`. Under torchrun each process does its share of
    the images; the first one scores and writes, the others return None.

    Args:
        root: folder of the data set.
        run: folder of the run.
        feature: the vector compared.
        gt_boxes: take the annotated persons as detections.
        save_detections: file for the detections, which is replaced if `options.force`.
        checkpoint: as `load_run`.
        progress: called after each image with (images done, images in all).

    Raises:
        MaskpsError: as `task_of_dataset`, `load_run`, `Extraction` and `score`; a file to write exists or
            cannot be written. All but broken images is checked before the first image is read.
    """
    place = own_device(open_device(device))

    def prepared(processes: Processes) -> tuple[SearchTask, Run, Extraction]:
        options.check_output()
        if save_detections is not None:
            check_output_file(save_detections, mark=MARK, force=options.force)
        dataset = open_dataset(root)
        task = task_of_dataset(dataset, options)
        network = load_run(run, device=place, checkpoint=checkpoint)
        methods = [METHODS[name] for name in options.methods]
        unit_length = not any(method.is_distance for method in methods)
        extraction = Extraction(
            network.predictor(feature=feature, unit_length=unit_length),
            dataset,
            list(task.protocols.values()),
            folder=parts_folder(run, save_detections),
            settings=dataclasses.asdict(network.config),
            gt_boxes=gt_boxes,
            query_images=any(method.needs_query_images for method in methods),
            processes=processes,
        )
        return task, network, extraction

    with open_processes(place) as processes:
        task, network, extraction = processes.together(lambda: prepared(processes))
        extraction.run(progress)
    if not processes.is_first:
        return None
    detections = extraction.detections()
    if save_detections is not None:
        write_detections(save_detections, detections)
    results = ResultFile(
        data=task.data,
        source=ResultSource(
            run=str(run),
            detections=None if save_detections is None else options.recorded(save_detections),
            masks=network.info.persons_with_mask > 0,
            recipe=network.recipe,
            step=network.step,
        ),
        results=score(task, detections, options, feature=feature),
        detection={} if gt_boxes else score_detector(task, detections, options),
    )
    if options.out is not None:
        write_results(options.out, results)
    extraction.finish()
    return results
