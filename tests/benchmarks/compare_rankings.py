"""One picture of what two networks find for the same queries, for example with masks and without.

    python tests/benchmarks/compare_rankings.py scenes none=grid/none_s0 masks=grid/masks_s0 --out out.png

Each query has a row for each run. The queries are evenly spaced in the order of what the second run gains in
average precision over the first, so that losses show as often as gains.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from maskps.datasets import open_dataset
from maskps.datasets.protocols import open_protocol, protocol_of_size
from maskps.evaluation import evaluate_search, ranked_results
from maskps.evaluation.extraction import extract_detections
from maskps.evaluation.rules import apply_rules
from maskps.pictures import ranking_sheet
from maskps.pictures.rows import evenly_spaced
from maskps.pictures.sheets import RankingPicture
from maskps.training import load_run


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path)
    parser.add_argument("runs", nargs=2, metavar="NAME=RUN", help="a name to print, and a run folder")
    parser.add_argument("--out", type=Path, required=True, help="PNG to write")
    parser.add_argument("--gallery-size", type=int, default=50)
    parser.add_argument("--queries", type=int, default=4)
    given = parser.parse_args()
    dataset = open_dataset(given.root)
    protocol = open_protocol(dataset, protocol_of_size(dataset, given.gallery_size))
    names, found, results = [], [], []
    for name, run in (entry.split("=", 1) for entry in given.runs):
        names.append(name)
        found.append(extract_detections(load_run(Path(run)).predictor(), dataset, protocol))
        results.append(evaluate_search(protocol, found[-1]))
        print(f"{name}: mAP {100 * results[-1].mAP:.1f} %")
    gains = results[1].average_precisions - results[0].average_precisions
    truths = apply_rules(protocol, results[0].rules).truths
    pictures = []
    for query in evenly_spaced(np.argsort(-gains, kind="stable"), given.queries):
        image_name = str(protocol.image_names[protocol.query_scenes[query]])
        for detections, result in zip(found, results, strict=True):
            hits = ranked_results(protocol, detections, query, 8, score_threshold=result.score_threshold)
            pictures.append(
                RankingPicture(
                    query_id=str(protocol.query_ids[query]),
                    image_name=image_name,
                    image=dataset.image_path(image_name),
                    box=protocol.query_boxes[query],
                    hits=hits,
                    truths=int(truths[query]),
                    average_precision=float(result.average_precisions[query]),
                )
            )
    title = f"The same queries, {names[0]} above {names[1]} (synthetic scenes)"
    ranking_sheet(pictures, dataset.image_path, title=title).save(given.out)


if __name__ == "__main__":
    main()
