"""The three rules on the anomalies of the real TestG100.mat, as a Markdown table.

    python tests/benchmarks/parity_table.py shared/data/cuhk_sysu/TestG100.mat

The detections are those of a nearly perfect network, the same for all rules: every true box is found, with
the query's embedding and a little noise. If the IoU threshold of a true box is below 0.5, its detection
covers only so much of it that the IoU lies between the two. So the table shows the largest effect that the
anomalies can have. The last column is the largest difference of any AP from the same rule in plain loops
(tests/evaluation/literal_search.py).
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np

from maskps.evaluation import RULES, Detections, evaluate_search
from maskps.evaluation.rules import IOU_THRESHOLD, apply_rules, iou_thresholds
from maskps.protocols import SearchProtocol, describe_protocol, read_protocol
from maskps.protocols.sets import select_queries
from maskps.protocols.summary import DOUBLED_IMAGE, OWN_IMAGE

sys.path.append(str(Path(__file__).parents[1] / "evaluation"))
from literal_search import LITERAL


def odd_queries(protocol: SearchProtocol) -> dict[str, np.ndarray]:
    """Returns the queries of each kind of anomaly."""
    anomalies = describe_protocol(protocol).anomalies
    is_small = iou_thresholds(protocol.truth_boxes) < IOU_THRESHOLD
    return {
        "a gallery image twice": np.unique([one.query for one in anomalies if one.kind == DOUBLED_IMAGE]),
        "own image in the gallery": np.unique([one.query for one in anomalies if one.kind == OWN_IMAGE]),
        f"small boxes ({is_small.sum()})": np.unique(protocol.query_of_truth[is_small]),
    }


def nearly_perfect(protocol: SearchProtocol, *, dim: int = 64) -> Detections:
    """Returns each true box as a detection, and two distractors an image; embeddings of whole eighths."""
    rng = np.random.default_rng(0)
    queries = rng.integers(-4, 5, (protocol.num_queries, dim))
    part = iou_thresholds(protocol.truth_boxes)
    part = np.where(part < IOU_THRESHOLD, (part + IOU_THRESHOLD) / 2, 1)
    boxes = protocol.truth_boxes.astype(np.float64)
    boxes[:, 3] = boxes[:, 1] + part * (boxes[:, 3] - boxes[:, 1])
    alike = queries[protocol.query_of_truth] + rng.integers(-1, 2, (len(boxes), dim))
    found, embeddings = [], []
    by_image = np.argsort(protocol.truth_scenes, kind="stable")
    bounds = np.searchsorted(protocol.truth_scenes[by_image], np.arange(len(protocol.image_names) + 1))
    for first, last in pairwise(bounds):
        here = by_image[first:last]
        found.append(np.concatenate([boxes[here], [[0, 0, 30, 60], [40, 0, 70, 60]]]))
        embeddings.append(np.concatenate([alike[here], rng.integers(-4, 5, (2, dim))]) / 8)
    scores = [np.ones(len(one)) for one in found]
    return Detections.from_images(list(protocol.image_names), found, scores, embeddings, queries / 8)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("protocol", type=Path, help="TestG100.mat")
    given = parser.parse_args()
    logging.disable(
        logging.WARNING
    )  # the embeddings are not unit vectors but whole eighths, exact in any order
    protocol = read_protocol(given.protocol)
    kinds = odd_queries(protocol)
    detections = nearly_perfect(protocol)
    aps = {rules: evaluate_search(protocol, detections, rules=rules).average_precisions for rules in RULES}
    truths = {rules: apply_rules(protocol, rules).truths for rules in RULES}

    print("| queries with | rules | queries | truths that count | AP differs from oim | mean AP, % ", end="")
    print("| change of the mAP of all | from the literal rule |\n|---|---|---|---|---|---|---|---|")
    for kind, queries in kinds.items():
        part = select_queries(protocol, queries)
        own = dataclasses.replace(detections, query_embeddings=detections.query_embeddings[queries])
        for rules in RULES:
            changes = aps[rules][queries] - aps["oim"][queries]
            literal, _ = LITERAL[rules](part, own)
            away = np.abs(aps[rules][queries] - literal).max()
            print(
                f"| {kind} | {rules} | {len(queries)} | {truths[rules][queries].sum()} "
                f"| {np.count_nonzero(changes)} | {100 * aps[rules][queries].mean():.2f} "
                f"| {100 * changes.sum() / protocol.num_queries:+.4f} points | {away:.1e} |"
            )
    for rules in RULES:
        differs = np.flatnonzero(aps[rules] != aps["oim"])
        odd = np.unique(np.concatenate(list(kinds.values())))
        others = np.setdiff1d(differs, odd).size
        print(f"| all | {rules} | {protocol.num_queries:,} | {truths[rules].sum():,} | {len(differs)} "
              f"({others} without an anomaly) | {100 * aps[rules].mean():.2f} "
              f"| {100 * (aps[rules] - aps['oim']).mean():+.4f} points | |")  # fmt: skip


if __name__ == "__main__":
    main()
