"""`maskps eval`: a trained network's person search, under one or several protocols."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from maskps_cli.networks import check_one_network
from maskps_cli.options import checkpoint_option, device_option, root_argument
from maskps_cli.output import progress_bar, say_findings
from maskps_cli.score import Printing, scoring_options

if TYPE_CHECKING:
    from maskps.evaluation.task import ScoringOptions
    from maskps.masks.outlined_persons import PersonOutlines
    from maskps.model.prediction import Feature
    from maskps.structures import PersonSearchDataset


@click.command("eval")
@root_argument
@click.option("--run", type=click.Path(path_type=Path), help="Run folder of maskps train.")
@click.option("--onnx", type=click.Path(path_type=Path), help="File of maskps export, in place of --run.")
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
    help="Use the annotated boxes instead of detections, to measure the embeddings alone.",
)
@click.option(
    "--save-detections", type=click.Path(path_type=Path), help="Also write the detections, for maskps score."
)
@checkpoint_option
@click.option(
    "--outlines",
    type=click.Path(path_type=Path),
    help="Folder of LabelMe files: also measure the masks predicted for persons whose outline RUN did not "
    "train with.",
)
@click.option(
    "--background-sensitivity",
    is_flag=True,
    help="With --outlines of test persons: also measure how far embeddings depend on the background.",
)
@device_option
def evaluate(
    root: Path,
    run: Path | None,
    onnx: Path | None,
    scoring: ScoringOptions,
    printing: Printing,
    feature: Feature,
    gt_boxes: bool,
    save_detections: Path | None,
    checkpoint: str,
    outlines: Path | None,
    background_sensitivity: bool,
    device: str,
) -> None:
    """Measure person search on the test split of ROOT.

    Prints mAP and top-1, 5, 10. Reads the network of RUN, the protocols, and each test image once. The same
    command resumes an evaluation that was stopped: it keeps finished images in RUN/evaluation, or beside
    --save-detections, until all are done. Several processes: torchrun --nproc-per-node 2 --no-python --
    maskps eval ...

    \b
    Example:
      maskps eval scenes --run run --gallery-size 100
      maskps eval scenes --run run --gallery-size 100 --outlines scenes/truth/labelme_test
    """
    check_one_network(run, onnx)
    if onnx is not None and (outlines or background_sensitivity or feature != "embedding"):
        raise click.UsageError("an ONNX file has no masks and no pooled features: give --run DIR for these")
    if onnx is not None and checkpoint != "last":
        raise click.UsageError("--checkpoint names one of RUN's networks; --onnx FILE has one")

    from maskps.training import NetworkOptions, evaluate_run, is_first_process
    from maskps_annotation import person_outlines_from_labelme

    if scoring.out and save_detections and scoring.out.resolve() == save_detections.resolve():
        raise click.UsageError("--out and --save-detections are the same file")
    if background_sensitivity and outlines is None:
        raise click.UsageError("--background-sensitivity needs --outlines DIR")
    is_quiet = printing.quiet or not is_first_process()

    def drawn(dataset: PersonSearchDataset) -> PersonOutlines:
        assert outlines is not None
        found, findings = person_outlines_from_labelme(outlines, dataset)
        say_findings(findings, quiet=is_quiet)
        return found

    with progress_bar("images", quiet=is_quiet) as update:
        results = evaluate_run(
            root,
            run,
            scoring,
            NetworkOptions(
                onnx=onnx,
                checkpoint=checkpoint,
                feature=feature,
                gt_boxes=gt_boxes,
                save_detections=save_detections,
                outlines=drawn if outlines else None,
                background_sensitivity=background_sensitivity,
            ),
            device=device,
            progress=update,
        )
    if results is not None:
        written = (save_detections, scoring.out)
        printing.print(f"Person search on {root}", results, written=written)
