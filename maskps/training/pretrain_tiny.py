"""Makes the backbone that comes with maskps for the recipe `tiny`; run as a module.

    python -m maskps.training.pretrain_tiny WORK --hours 1

A narrow ResNet learns little from 300 scenes in a few minutes. This script gives it a start that owes
nothing to the scenes it is later tried on: it renders a larger synthetic set from a seed of its own (other
people, other cameras), trains the network of the recipe on it from scratch and without masks, and keeps
the weights of conv1..res5 only. Proposals, box head, embedding and mask branch start fresh in every run.
"""

from __future__ import annotations

from pathlib import Path

import click
import safetensors.torch

from maskps.datasets import open_dataset
from maskps.files import written_atomically
from maskps.model.backbone import backbone_state, pretrained_path
from maskps.synthetic import SynthScale, write_synthetic
from maskps.synthetic.plan import SplitScale
from maskps.training.config import load_config
from maskps.training.loop import train
from maskps.training.run import load_run

SEED = 20_200_827
"""Of the scenes to pretrain on. `maskps-data synth` with any other seed shares no person and no camera."""

SCALE = SynthScale(
    400,
    (0.15, 0.42),
    SplitScale(3000, 0, 2000, 12_000, 2400, 150, (3, 9)),
    SplitScale(60, 0, 20, 60, 60, 4, (2, 6)),
    galleries=(50,),
    occluded=1,
    low_resolution=2,
    subset_gallery=50,
)
"""Four labeled persons a scene, six scenes a person: identities are what a backbone learns most from."""

SETTINGS = (
    "pretrained=none",
    "masks=false",
    "freeze_batch_norm=none",
    "frozen_stages=0",
    "epochs=6",
    "batch_size=6",
    "learning_rate=0.03",
    "warmup_steps=200",
    "rois_per_image=20",
    "oim_temperature=0.05",
    "oim_queue_length=2000",
    "checkpoint_every=100",
)


@click.command()
@click.argument("work", type=click.Path(path_type=Path))
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True)
def main(work: Path, jobs: int) -> None:
    """Render into WORK/scenes, train in WORK/run (resumes there), and write the package's weight file."""
    if not (work / "scenes").exists():
        write_synthetic(work / "scenes", scale=SCALE, seed=SEED, jobs=jobs)
    dataset = open_dataset(work / "scenes")
    config = load_config("tiny", SETTINGS)
    train(
        config,
        dataset,
        None,
        work / "run",
        resume=(work / "run" / "run.json").exists(),
        callback=lambda report: click.echo(report.text(), err=True) if report.step % 50 == 0 else None,
    )
    model = load_run(work / "run").model
    target = pretrained_path("tiny", "shipped")
    with written_atomically(target) as temporary:
        safetensors.torch.save_file(backbone_state(model.stem, model.roi_heads.res5), temporary)
    click.echo(f"wrote {target}, {target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
