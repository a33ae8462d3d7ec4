"""docs/extend/method.md as printed: its method ranks, has a flag, and comes back from a result file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from command_line import invoke
from search_cases import random_case

from maskps.evaluation import METHODS, evaluate_search
from maskps.evaluation.methods import Method
from maskps.evaluation.result_file import ResultData, ResultFile, ResultSource, read_results, write_results
from maskps.evaluation.similarity import Vectors
from maskps.evaluation.task import ScoringOptions, SearchTask, score
from maskps.protocols import ProtocolName
from maskps_cli.score import scoring_options

PAGE = Path(__file__).resolve().parents[3] / "docs/extend/method.md"


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names that the page's blocks define, after its row was added to the table."""
    protocol, detections = random_case(1, ties=False)
    added: dict[str, Method] = {}
    names: dict[str, Any] = {"METHODS": added, "evaluate_search": evaluate_search}
    names |= {"protocol": protocol, "detections": detections}
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL):
        exec(block, names)
    assert list(added) == ["expand"]
    monkeypatch.setitem(METHODS, "expand", added["expand"])
    return names


def test_it_ranks_by_the_mean_of_the_query_and_its_hits(page: dict[str, Any]) -> None:
    """Each query replaced beforehand by its mean gives the same ranking by cosine."""
    protocol, detections, means = page["protocol"], page["detections"], []
    every = np.flatnonzero(detections.scores >= 0.5)
    products = Vectors(detections, every, METHODS["cosine"]).with_all(slice(None))
    for query, gallery in enumerate(protocol.galleries):
        names = protocol.image_names[gallery].tolist()
        listed = [names.count(detections.image_names[image]) for image in image_of(detections)[every]]
        rows = np.repeat(np.arange(len(every)), listed)
        best = rows[np.argsort(-products[query, rows], kind="stable")[:5]]
        vectors = np.vstack([detections.query_embeddings[query], detections.embeddings[every[best]]])
        means.append(vectors.astype(np.float64).mean(axis=0))
    unit = np.array(means) / np.linalg.norm(means, axis=1, keepdims=True)
    moved = type(detections)(**{**vars(detections), "query_embeddings": unit.astype(np.float32)})
    expected = evaluate_search(protocol, moved).average_precisions
    np.testing.assert_allclose(page["result"].average_precisions, expected, rtol=0, atol=1e-12)
    assert (expected != evaluate_search(protocol, detections).average_precisions).any()


def image_of(detections: Any) -> np.ndarray:
    return np.repeat(np.arange(detections.num_images), np.diff(detections.offsets))


def test_it_has_a_flag(page: dict[str, Any]) -> None:
    asked: list[ScoringOptions] = []

    @click.command()
    @scoring_options
    def command(scoring: ScoringOptions, printing: object) -> None:
        asked.append(scoring)

    assert invoke(command, "--cbgm", "--expand").exit_code == 0
    assert asked[0].methods == ("cosine", "cbgm", "expand")


def test_its_line_comes_back_from_a_result_file(page: dict[str, Any], tmp_path: Path) -> None:
    data = ResultData("protocol", "mine", False, "0" * 64)
    task = SearchTask(data, None, {ProtocolName("mine"): page["protocol"]})
    lines = score(task, page["detections"], ScoringOptions(methods=("cosine", "expand")))
    write_results(tmp_path / "r.json", ResultFile(data, ResultSource(detections="d.npz"), lines))
    again = read_results(tmp_path / "r.json").results
    assert [line.method for line in again] == ["cosine", "expand"]
    assert again[1].to_dict() == lines[1].to_dict()
