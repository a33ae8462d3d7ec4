"""The three rules on the anomalies of the real TestG100.mat, as a Markdown table.

    python tests/benchmarks/parity_table.py shared/data/cuhk_sysu/TestG100.mat

Random detections near the true boxes (the same for all rules), so the numbers themselves mean nothing; what
counts is which queries differ between rules, and by how much the anomalies move the mean of all 2,900. The
last column is the largest difference of any query's AP from the literal re-telling of the same rule
(tests/evaluation/literal_search.py), over the queries of the row.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
from pathlib import Path

import numpy as np

from maskps.evaluation import RULES, SearchProtocol, describe_protocol, evaluate_search, read_protocol
from maskps.evaluation.protocol_sets import select_queries
from maskps.evaluation.protocol_summary import DOUBLED_IMAGE, OWN_IMAGE
from maskps.evaluation.rules import IOU_THRESHOLD, apply_rules, iou_thresholds

sys.path.append(str(Path(__file__).parents[1] / "evaluation"))
from literal_search import LITERAL
from search_cases import detections_near


def odd_queries(protocol: SearchProtocol) -> dict[str, np.ndarray]:
    """Returns the queries of each kind of anomaly."""
    anomalies = describe_protocol(protocol).anomalies
    is_small = iou_thresholds(protocol.truth_boxes) < IOU_THRESHOLD
    return {
        "a gallery image twice": np.unique([one.query for one in anomalies if one.kind == DOUBLED_IMAGE]),
        "own image in the gallery": np.unique([one.query for one in anomalies if one.kind == OWN_IMAGE]),
        f"small boxes ({is_small.sum()})": np.unique(protocol.query_of_truth[is_small]),
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("protocol", type=Path, help="TestG100.mat")
    given = parser.parse_args()
    logging.disable(logging.WARNING)  # the embeddings are no unit vectors: whole eighths, exact in any order
    protocol = read_protocol(given.protocol)
    kinds = odd_queries(protocol)
    detections = detections_near(protocol, np.random.default_rng(0), jitter=3, dim=32)
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
