"""`maskps export`: the network of a run as an ONNX file, compared with PyTorch."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from maskps_cli.options import checkpoint_option, force_option, json_option, quiet_option
from maskps_cli.output import print_json, print_table, print_terms, say


@click.command()
@click.option("--run", type=click.Path(path_type=Path), required=True, help="Run folder of maskps train.")
@click.option("--out", type=click.Path(path_type=Path), required=True, help="ONNX file to write.")
@checkpoint_option
@force_option
@json_option
@quiet_option
def export(run: Path, out: Path, checkpoint: str, force: bool, as_json: bool, quiet: bool) -> None:
    """Write the network of RUN to an ONNX file.

    The file works without PyTorch. Writing it takes a minute or more. Then onnxruntime and PyTorch look at
    three generated scenes. OUT is written only if both find the same persons, and the same embeddings up to
    0.0001. Needs pip install 'maskps[export]'; using the file needs onnxruntime alone, pip install
    'maskps[onnx]'.

    \b
    Example:
      maskps export --run run --out model.onnx
    """
    from maskps.model.export import export_network
    from maskps.training import load_run

    predictor = load_run(run, checkpoint=checkpoint).predictor()
    say("exporting, and comparing with PyTorch ...", quiet=quiet)
    scenes = export_network(predictor, out, force=force)
    if as_json:
        print_json(
            {
                "file": str(out),
                "bytes": out.stat().st_size,
                "weights": predictor.weights,
                "terms": predictor.terms,
                "scenes": [asdict(scene) for scene in scenes],
            }
        )
        return
    print_table(
        f"{out}, {out.stat().st_size / 1e6:.1f} MB: largest differences between PyTorch and onnxruntime",
        ["scene", "persons, both", "boxes (px)", "scores", "embeddings", "given boxes", "their embeddings"],
        [
            [
                f"{scene.width} x {scene.height}",
                str(scene.detections),
                *(f"{number:.1e}" for number in (scene.boxes, scene.scores, scene.embeddings)),
                str(scene.given),
                f"{scene.given_embeddings:.1e}",
            ]
            for scene in scenes
        ],
    )
    if not any(scene.detections for scene in scenes):
        say("this network finds nobody in these scenes; only given boxes were compared", quiet=quiet)
    print_terms(predictor.terms)
    say(f"wrote {out}", quiet=quiet)
