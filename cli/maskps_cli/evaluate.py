"""`maskps eval`: a trained network's person search, under one or several protocols."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from maskps_cli.options import device_option, force_option, json_option, quiet_option, root_argument
from maskps_cli.output import progress_bar, say
from maskps_cli.score import methods_of, print_or_write, scoring_options

if TYPE_CHECKING:
    from maskps.evaluation import Rules
    from maskps.evaluation.similarity import Distance
    from maskps.evaluation.task import GallerySize
    from maskps.model.predictor import Feature
    from maskps.protocols.sets import Cameras


def _check_checkpoint(ctx: click.Context, parameter: click.Parameter, name: str) -> str:
    if name not in ("last", "best") and not name.isdecimal():
        raise click.BadParameter(f"'{name}' is neither last, best nor the number of a step")
    return name


@click.command("eval")
@root_argument
@click.option("--run", type=click.Path(path_type=Path), required=True, help="Run folder of maskps train.")
@scoring_options
@click.option(
    "--feature",
    type=click.Choice(["embedding", "pooled"]),
    default="embedding",
    show_default=True,
    help="The vector compared: f_id (Sec. 3.2), or the pooled Res5 features f_p (Sec. 4.2).",
)
@click.option(
    "--gt-boxes",
    is_flag=True,
    help="Take the annotated persons for detections: the features without the detector.",
)
@click.option(
    "--save-detections", type=click.Path(path_type=Path), help="Also write the detections, for maskps score."
)
@click.option(
    "--checkpoint",
    default="last",
    show_default=True,
    callback=_check_checkpoint,
    metavar="last|best|STEP",
    help="Which of RUN's networks; best, if it was trained with --set eval_every=N.",
)
@device_option
@force_option
@json_option
@quiet_option
def evaluate(
    root: Path,
    run: Path,
    gallery_sizes: Sequence[GallerySize],
    subsets: Sequence[str],
    cameras: Sequence[Cameras],
    rules: Rules,
    distance: Distance,
    cbgm: bool,
    rerank: bool,
    out: Path | None,
    per_query: bool,
    feature: Feature,
    gt_boxes: bool,
    save_detections: Path | None,
    checkpoint: str,
    device: str,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Measure person search on the test split of ROOT: mAP and top-1, 5, 10.

    Reads the network of RUN, the test images, each once, and the protocols. An evaluation that was stopped
    goes on where it was: finished images are kept in RUN/evaluation, or beside --save-detections, until all
    are done. Several processes: torchrun --nproc-per-node 2 --no-python -- maskps eval ...

    \b
    Example:
      maskps eval scenes --run run --gallery-size 100
    """
    from maskps.datasets import open_dataset
    from maskps.evaluation import write_detections
    from maskps.evaluation.detections_file import MARK as DETECTIONS_MARK
    from maskps.evaluation.extraction_parts import ResumableExtraction, parts_folder
    from maskps.evaluation.result_file import MARK as RESULT_MARK
    from maskps.evaluation.result_file import ResultFile, ResultSource
    from maskps.evaluation.task import SearchTask, score, score_detector, task_of_dataset
    from maskps.io.files import check_output_file
    from maskps.model.processes import open_device, open_processes, own_device
    from maskps.training import Run, is_first_process, load_run

    methods = methods_of(distance, cbgm, rerank)
    if out is not None and save_detections is not None and out.resolve() == save_detections.resolve():
        raise click.UsageError("--out and --save-detections are the same file")
    quiet = quiet or not is_first_process()
    place = own_device(open_device(device))
    with open_processes(place) as processes:

        def prepared() -> tuple[SearchTask, Run, ResumableExtraction]:
            for path, mark in ((out, RESULT_MARK), (save_detections, DETECTIONS_MARK)):
                if path is not None:
                    check_output_file(path, mark=mark, force=force)
            dataset = open_dataset(root)
            task = task_of_dataset(
                dataset, gallery_sizes=gallery_sizes, subsets=subsets, cameras=cameras or ["all"]
            )
            network = load_run(run, device=place, checkpoint=checkpoint)
            extraction = ResumableExtraction(
                network.predictor(feature=feature, unit_length=distance == "cosine"),
                dataset,
                list(task.protocols.values()),
                parts_folder(run, save_detections),
                settings=asdict(network.config),
                gt_boxes=gt_boxes,
                context=cbgm,
                processes=processes,
            )
            return task, network, extraction

        task, network, extraction = processes.together(prepared)
        with progress_bar("images", quiet=quiet) as update:
            detections = extraction.run(progress=update)
    if detections is None:
        return
    if save_detections is not None:
        write_detections(save_detections, detections)
        say(f"wrote {save_detections}", quiet=quiet)
    results = ResultFile(
        data=task.data,
        source=ResultSource(
            run=str(run),
            masks=network.info.persons_with_mask > 0,
            recipe=network.recipe,
            step=network.step,
        ),
        results=score(task, detections, rules=rules, methods=methods, feature=feature),
        detection={} if gt_boxes else score_detector(task, detections),
    )
    title = f"Person search on {root}"
    print_or_write(title, results, out=out, as_json=as_json, per_query=per_query, quiet=quiet)
    extraction.finish()
