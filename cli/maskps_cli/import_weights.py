"""`maskps import-weights`: a run folder of published weights, without training."""

from __future__ import annotations

from pathlib import Path

import click

from maskps_cli.options import force_option
from maskps_cli.output import print_terms, say


@click.command("import-weights")
@click.argument("network", type=click.Choice(["seqnet"]))
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Run folder to write.")
@click.option(
    "--data",
    type=click.Choice(["cuhk-sysu", "prw", "other"]),
    help="What the weights were trained on; other: data of your own.  [default: by the table's size]",
)
@force_option
def import_weights(network: str, file: Path, out: Path, data: str | None, force: bool) -> None:
    """Make a run folder of published weights, without training.

    Reads a checkpoint of SeqNet as its train.py writes it, or the state dict alone; nothing in the file is
    executed. Every entry is used or named. Writes the run folder OUT, which maskps eval opens with --run.

    \b
    Example:
      maskps import-weights seqnet epoch_19.pth --out seqnet
      maskps eval CUHK-SYSU --run seqnet --gallery-size 100
    """
    from maskps.training import import_weights as import_weights_of

    imported = import_weights_of(network, file, out, data=data, force=force)
    info = imported.info
    say(f"wrote {out}: {imported.entries} entries of {network}, trained on {info.num_pids:,} identities")
    for reason in dict.fromkeys(imported.unused.values()):
        names = [name for name, own in imported.unused.items() if own == reason]
        say(f"not used, {reason}: {', '.join(names)}")
    say("not in the file: the mask branch; it is not trained, so its masks mean nothing")
    print_terms(info.terms)
