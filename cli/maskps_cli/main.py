"""`maskps`: train, evaluate, and a demonstration of the whole pipeline."""

from __future__ import annotations

from pathlib import Path

import click

from maskps_cli.ablate import ablate
from maskps_cli.evaluate import evaluate
from maskps_cli.export import export
from maskps_cli.gallery import gallery
from maskps_cli.import_weights import import_weights
from maskps_cli.options import (
    MaskpsGroup,
    device_option,
    force_option,
    quiet_option,
    recipe_option,
    root_argument,
    seed_option,
    set_option,
    settings_of,
    version_option,
    wrong_value,
)
from maskps_cli.output import echo, progress_bar, say
from maskps_cli.report import report
from maskps_cli.score import score
from maskps_cli.search import search
from maskps_cli.serve import serve


@click.group(cls=MaskpsGroup)
@version_option
def main() -> None:
    """Segmentation mask guided end-to-end person search."""


@main.command()
@root_argument
@click.option(
    "--subset",
    type=click.Path(path_type=Path),
    help="Mask subset, from maskps-data build-subset; needed unless --no-masks.",
)
@click.option(
    "--proportion", metavar="P", help="A nested part of --subset, e.g. 6%.  [default: the whole subset]"
)
@click.option("--run", type=click.Path(path_type=Path), help="Run folder to write; needed unless --dry-run.")
@recipe_option
@click.option("--no-masks", is_flag=True, help="Train without masks; everything else is equal.")
@set_option
@click.option("--resume", is_flag=True, help="Continue an interrupted run.")
@click.option("--tensorboard", is_flag=True, help="Also write RUN/tensorboard: curves and example images.")
@click.option(
    "--dry-run",
    "is_dry_run",
    is_flag=True,
    help="Take a few steps, write nothing; print settings, network, data, expected time and memory.",
)
@device_option
@force_option
@quiet_option
def train(
    root: Path,
    subset: Path | None,
    proportion: str | None,
    run: Path | None,
    recipe: str,
    no_masks: bool,
    settings: tuple[str, ...],
    resume: bool,
    tensorboard: bool,
    is_dry_run: bool,
    device: str,
    force: bool,
    quiet: bool,
) -> None:
    """Train the mask-guided network on the data set at ROOT.

    The network is that of Sec. 3.2. Writes RUN/config.toml (every setting), RUN/metrics.jsonl (one line per
    step) and RUN/checkpoints/. Several processes: torchrun --nproc-per-node 2 --no-python -- maskps train ...

    \b
    Example:
      maskps train scenes --subset subset --recipe tiny --dry-run
      maskps train scenes --subset subset --recipe tiny --run run
    """
    from maskps.datasets import open_dataset
    from maskps.subset import open_subset, parse_proportion
    from maskps.training import StepReport, dry_run, is_first_process, load_config
    from maskps.training import train as train_network

    if subset is None and not no_masks:
        raise click.UsageError("give --subset DIR (from maskps-data build-subset), or --no-masks")
    if proportion is not None and (subset is None or no_masks):
        raise click.UsageError("--proportion names a part of --subset, and needs its masks")
    if resume and force:
        raise click.UsageError("give --resume or --force, not both")
    if is_dry_run and (resume or force):
        raise click.UsageError("--dry-run writes nothing: leave out --resume and --force")
    if run is None and not is_dry_run:
        raise click.UsageError("give --run DIR, the folder to write, or --dry-run")
    switches = ["masks=false"] * no_masks + ["tensorboard=true"] * tensorboard
    config = settings_of(recipe, [*settings, *switches])
    if proportion is not None:
        with wrong_value("--proportion"):
            parse_proportion(proportion)
    dataset = open_dataset(root)
    masks = None if no_masks or subset is None else open_subset(subset, dataset, proportion)
    quiet = quiet or not is_first_process()
    if run is None or is_dry_run:
        if is_first_process():
            say("taking a few steps ...", quiet=quiet)
            echo(dry_run(config, dataset, masks, device=device).text(load_config(recipe)), keep="\n")
        return
    with progress_bar("training", quiet=quiet) as update:

        def on_step(report: StepReport) -> None:
            update(report.step, report.steps, report.text())

        result = train_network(
            config, dataset, masks, run, device=device, resume=resume, force=force, callback=on_step
        )
    say(f"wrote {run}: {result.summary()}", quiet=quiet)


@main.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Folder to write everything to.")
@seed_option
@force_option
@quiet_option
def demo(out: Path, seed: int, force: bool, quiet: bool) -> None:
    """Run the whole pipeline on new synthetic scenes.

    Draws a subset, prints Table 1, trains, measures mAP, and searches. Writes OUT/scenes, OUT/subset,
    OUT/run, OUT/demo.json and pictures (OUT/*.png). Takes less than 10 minutes on two CPU cores.

    \b
    Example:
      maskps demo --out demo
    """
    from maskps.training import load_config
    from maskps_cli.demo import run_demo

    with wrong_value("--seed"):
        load_config("tiny", [f"seed={seed}"])
    run_demo(out, seed=seed, force=force, quiet=quiet)


for command in (import_weights, ablate, evaluate, score, report, export, gallery, search, serve):
    main.add_command(command)

if __name__ == "__main__":
    main()
