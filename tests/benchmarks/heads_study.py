"""The table of heads_study.sh: each head with and without masks, and beside the single head.

    python tests/benchmarks/heads_study.py WORK

Reads WORK/heads-*. Differences are paired by seed: their mean and 95 % t interval, and p with Holm's
correction over all seven comparisons. Seeds that are still missing are left out. The time of a step is the
median over the epochs without masks; another program on the same core would show in it.
"""

from __future__ import annotations

import json
import statistics
import sys
from pathlib import Path

from maskps.evaluation.paired import PairedDifference, p_text, with_holm
from maskps.io.tables import Spread

HEADS = ("single", "neck", "nae", "sequential")

Results = dict[tuple[str, str, int], float]
"""The mAP of each cell, by head, arm and seed."""


def read_results(work: Path) -> Results:
    """Returns the mAP of every finished cell."""
    results = {}
    for head in HEADS:
        path = work / f"heads-{head}" / "ablation.json"
        for cell in json.loads(path.read_text())["cells"] if path.exists() else []:
            results[head, cell["row"], cell["seed"]] = cell["search"]["mAP"]
    return results


def difference(results: Results, one: tuple[str, str], other: tuple[str, str]) -> PairedDifference | None:
    """Returns the paired difference of two rows, each a head and an arm."""
    seeds = [seed for *row, seed in results if tuple(row) == one and (*other, seed) in results]
    return PairedDifference.of([results[*one, seed] - results[*other, seed] for seed in seeds])


def seconds_per_step(work: Path, head: str) -> float:
    """Returns the median over all epochs of all seeds without masks."""
    files = work.glob(f"heads-{head}/none_s*/timing.jsonl")
    epochs = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    return statistics.median(epoch["seconds"] / epoch["steps"] for epoch in epochs)


def main() -> None:
    work = Path(sys.argv[1])
    results = read_results(work)
    pairs = [((head, "masks"), (head, "none")) for head in HEADS]
    pairs += [((head, "none"), ("single", "none")) for head in HEADS[1:]]
    found = with_holm([difference(results, one, other) for one, other in pairs])
    texts = {
        pair: "" if one is None else f"{one.text()} | {'' if one.p_holm is None else p_text(one.p_holm)}"
        for pair, one in zip(pairs, found, strict=True)
    }
    print(
        "| head | mAP, no masks | mAP, masks | masks - no masks | p (Holm) | - single | p (Holm) | s / step |"
    )
    print("|---|---|---|---|---|---|---|---|")
    for head in HEADS:
        means = [
            Spread.of([value for (name, row, _), value in results.items() if (name, row) == (head, arm)])
            for arm in ("none", "masks")
        ]
        cells = [
            "" if one is None else f"{100 * one.mean:.1f} ± {100 * (one.deviation or 0):.1f}" for one in means
        ]
        to_single = texts.get(((head, "none"), ("single", "none")), " | ")
        to_none = texts[(head, "masks"), (head, "none")]
        seconds = seconds_per_step(work, head)
        print(f"| `{head}` | {' | '.join(cells)} | {to_none} | {to_single} | {seconds:.2f} |")


if __name__ == "__main__":
    main()
