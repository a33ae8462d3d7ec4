"""Learning curves with masks and without, from the run folders of a grid.

    maskps-data synth scenes --scale small
    maskps-data build-subset scenes --out subset --labelme scenes/truth/labelme
    maskps ablate scenes --subset subset --run grid --recipe tiny --proportions 0,full --gallery-size 100
    python tests/benchmarks/learning_curves.py grid --out curves.png

Draws the losses over the steps (mean over seeds, smoothed; the band is the range of the seeds) and the mAP of
every seed, pair by pair, and prints the grid's table. What masks do is read from the pairs: a line that goes
up from "no masks" to "masks" is a seed in which they helped. `--row masks` draws that row of a grid of arms.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from maskps.evaluation.ablation_rows import WITHOUT, is_arm
from maskps.evaluation.ablation_table import GRID_VERSION, read_results
from maskps.io.files import read_record
from maskps.losses import LOSS_NAMES
from maskps.pictures.drawing import BLUE, ORANGE
from maskps.training import AblationTable, Cell

if TYPE_CHECKING:
    from matplotlib.axes import Axes

NAMES = ("loss", *LOSS_NAMES)
TITLES = {"loss": "all six", "loss_id": "identity (OIM)", "loss_mask": "masks"}
COLOURS = {False: ORANGE, True: BLUE}
STYLES = {False: (0, (3, 1.5)), True: "-"}  # what a colour says is said once more
WINDOW = 0.02
"""Of a run: steps over which a curve is averaged."""


def curves(run: Path) -> dict[str, NDArray[np.float64]]:
    """Returns the losses of every step of a run."""
    lines = [json.loads(text) for text in (run / "metrics.jsonl").read_text().splitlines()]
    return {name: np.array([line[name] for line in lines]) for name in NAMES}


def smoothed(values: NDArray[np.float64]) -> NDArray[np.float64]:
    width = max(1, round(WINDOW * len(values)))
    return np.convolve(values, np.full(width, 1 / width), mode="valid")


def draw_loss(axes: Axes, name: str, runs: dict[bool, list[dict[str, NDArray[np.float64]]]]) -> None:
    for masks, several in runs.items():
        if name == "loss_mask" and not masks:
            continue  # zero
        lines = np.stack([smoothed(run[name]) for run in several])
        steps = np.arange(lines.shape[1]) + len(several[0][name]) - lines.shape[1] + 1
        colour = tuple(channel / 255 for channel in COLOURS[masks])
        axes.fill_between(steps, lines.min(axis=0), lines.max(axis=0), color=(*colour, 0.18), linewidth=0)
        axes.plot(steps, lines.mean(axis=0), color=colour, linestyle=STYLES[masks], linewidth=1.6)
    axes.set_title(TITLES.get(name, name.removeprefix("loss_")), loc="left", fontsize=10)
    axes.set_ylim(bottom=0)


def draw_pairs(axes: Axes, table: AblationTable, base: str, row: str) -> None:
    of = {(cell.row, cell.seed): 100 * cell.search["mAP"] for cell in table.cells}
    for seed in sorted({seed for _, seed in of}):
        pair = [of[base, seed], of[row, seed]]
        axes.plot([0, 1], pair, color="0.45", marker="o", markersize=4, linewidth=1)
        axes.annotate(f"seed {seed}", (1, pair[1]), xytext=(6, -3), textcoords="offset points", fontsize=8)
    axes.set_xlim(-0.3, 1.6)
    axes.set_xticks([0, 1], ["no masks", row if is_arm(row) else f"masks {row}"])
    axes.set_title(f"mAP (%), {table.protocol}", loc="left", fontsize=10)


def draw(grid: Path, table: AblationTable, row: str, out: Path) -> None:
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    base = next((one.name for one in table.rows if one.name in WITHOUT), "none")
    pairs = {cell.seed for cell in table.cells if cell.row == base}
    seeds = sorted(pairs & {cell.seed for cell in table.cells if cell.row == row})
    if not seeds:
        raise SystemExit(f"{grid}: no seed with both '{base}' and '{row}'")
    runs = {
        masks: [curves(grid / Cell(label, seed).folder) for seed in seeds]
        for masks, label in ((False, base), (True, row))
    }
    figure = Figure(figsize=(12, 6), layout="constrained", facecolor="white")
    panels = figure.subplots(2, 4).ravel().tolist()
    for axes, name in zip(panels, NAMES, strict=False):
        draw_loss(axes, name, runs)
        axes.set_xlabel("step", fontsize=9)
    kept = tuple(cell for cell in table.cells if cell.seed in seeds)
    draw_pairs(panels[-1], AblationTable.of(table.data, table.protocol, kept), base, row)
    for axes in panels:
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", color="0.88", linewidth=0.7)
    keys = [
        Line2D([], [], color=tuple(channel / 255 for channel in COLOURS[masks]), linestyle=STYLES[masks])
        for masks in runs
    ]
    labels = [
        "no masks",
        row if is_arm(row) else f"masks in {row} of the images".replace("full of the", "all of the subset's"),
    ]
    figure.legend(keys, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=10)
    title = f"Losses in training and mAP, {len(seeds)} seeds: {table.data}"
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, fontweight="bold")
    figure.savefig(out, dpi=160, metadata={"Software": None})


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("grid", type=Path, help="folder of maskps ablate")
    parser.add_argument("--out", type=Path, required=True, help="PNG to write")
    parser.add_argument(
        "--row", default="full", help="row that is drawn beside the one without masks (default full)"
    )
    given = parser.parse_args()
    record = read_record(
        given.grid / "ablation.json",
        format="maskps-ablation",
        version=GRID_VERSION,
        what="a grid of maskps ablate",
        hint="give its --run folder",
    )
    table = AblationTable.of(record["data"], record["protocol"], read_results(given.grid))
    draw(given.grid, table, given.row, given.out)
    print(table.to_table().to_text("markdown"), end="")


if __name__ == "__main__":
    main()
