"""Results to report: of CUHK-SYSU by name, of a synthetic set with images, with names that mean something."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskps.datasets import open_dataset
from maskps.datasets.protocols import open_protocol
from maskps.evaluation import METHODS, DetectionResult, Detections, evaluate_search, write_detections
from maskps.evaluation.result_file import (
    ProtocolResult,
    ResultData,
    ResultFile,
    ResultSource,
    write_results,
)
from maskps.evaluation.rules import Rules
from maskps.evaluation.task import ScoringOptions, open_task
from maskps.protocols import SearchProtocol
from maskps.protocols.sets import Cameras, ProtocolName, camera_protocol
from maskps.structures import PersonSearchDataset

CUHK = ResultData("cuhk-sysu", "CUHK-SYSU", False, "c0ffee")
CAUSES = ("not detected", "below score threshold", "IoU too low", "wrong person first")


@pytest.fixture
def line() -> Callable[..., ProtocolResult]:
    """Makes a line of results: `line("TestG100", [1.0, 0.5], method="cbgm")`."""
    return make_line


def make_line(
    protocol: str | ProtocolName = "TestG100",
    precisions: Sequence[float] = (1.0, 0.5, 0.0, 0.25),
    *,
    gallery_size: int = 100,
    ids: Sequence[str] | None = None,
    **changes: Any,
) -> ProtocolResult:
    """A line of results with these APs; queries of an AP of 0.5 or more are hits."""
    values = np.array(precisions, dtype=np.float64)
    hits = np.stack([values >= 0.5, values >= 0.25, values > 0], axis=1)
    failed = int((~hits[:, 0]).sum())
    content: dict[str, Any] = {
        "protocol": ProtocolName(protocol) if isinstance(protocol, str) else protocol,
        "fingerprint": f"{gallery_size} images",
        "feature": "embedding",
        "method": "cosine",
        "rules": "oim",
        "gallery_size": gallery_size,
        "score_threshold": 0.5,
        "failures": {
            cause: failed // 4 + (index < failed % 4) for index, cause in enumerate(CAUSES)
        },
        "query_ids": tuple(ids or (f"p{index}" for index in range(len(values)))),
        "average_precisions": values,
        "hits": hits,
    }  # fmt: skip
    return ProtocolResult(**(content | changes))


@pytest.fixture
def write_run(tmp_path: Path) -> Callable[..., Path]:
    """Writes RUN/results.json: `write_run("name", [lines], data=..., masks=True)` returns the folder."""

    def write(
        name: str,
        lines: Sequence[ProtocolResult] | None = None,
        *,
        data: ResultData = CUHK,
        masks: bool | None = True,
        detection: Mapping[str, DetectionResult] | None = None,
        terms: str | None = None,
        **measured: Any,
    ) -> Path:
        folder = tmp_path / name
        folder.mkdir(parents=True)
        source = ResultSource(run=name, masks=masks, recipe="paper", step=11206, terms=terms)
        results = ResultFile(data, source, tuple(lines or [make_line()]), detection or {}, **measured)
        write_results(folder / "results.json", results)
        return folder

    return write


@pytest.fixture
def write_grid(tmp_path: Path) -> Callable[..., Path]:
    """Writes the ablation.json of a grid: no masks and 3 %, three seeds with gains 3.3, 1.1 and -1.1."""

    def write(name: str, *, data: ResultData = CUHK, **changes: Any) -> Path:
        def cell(label: str, seed: int, score: float) -> dict[str, Any]:
            counts = {"images": 336, "persons": 500}
            return {"row": label, "seed": seed, **counts, "search": {"mAP": score, "top1": score}}

        scores = {"0%": (0.84, 0.851, 0.862), "3%": (0.873, 0.862, 0.851)}
        content = {
            "format": "maskps-ablation",
            "version": 2,
            "data": data.name,
            "test_fingerprint": data.fingerprint,
            "protocol": "TestG100",
            "protocol_fingerprint": "100 images",
            "cells": [cell(label, seed, one[seed]) for label, one in scores.items() for seed in range(3)],
        }
        folder = tmp_path / name
        folder.mkdir()
        (folder / "ablation.json").write_text(json.dumps(content | changes))
        return folder

    return write


@pytest.fixture(scope="session")
def scenes(few_scenes: Path) -> PersonSearchDataset:
    """A synthetic data set with images."""
    return open_dataset(few_scenes)


@pytest.fixture
def prw(scenes: PersonSearchDataset, tmp_path: Path) -> PersonSearchDataset:
    """The same scenes as PRW has them: two cameras by turns, each labeled person once a query."""
    test, ids = scenes.test, np.array([one.removeprefix("p") for one in scenes.test_ids.tolist()])
    lines = []
    for row in np.flatnonzero(test.is_labeled).tolist():
        x0, y0, x1, y1 = test.boxes[row].tolist()
        scene = Path(str(test.names[test.scene_of_person[row]])).stem
        lines.append(f"{ids[test.pids[row] - 1]} {x0} {y0} {x1 - x0} {y1 - y0} {scene}")
    (tmp_path / "query_info.txt").write_text("\n".join(lines))
    camera = np.arange(len(test)) % 2 + 1
    return replace(scenes, kind="prw", root=tmp_path, test=replace(test, camera=camera), test_ids=ids)


def found_in(
    dataset: PersonSearchDataset, protocol: SearchProtocol, *, noise: float, length: float
) -> Detections:
    """Detections that are the annotated boxes, embedded by identity, blurred by noise, up to this long."""
    rng = np.random.default_rng(7)
    test = dataset.test
    of_identity = rng.normal(size=(len(dataset.test_ids) + 1, 16))
    embeddings = of_identity[np.maximum(test.pids, 0)] + noise * rng.normal(size=(test.num_persons, 16))
    names = dataset.test_ids.tolist()
    queries = of_identity[[names.index(one) + 1 for one in protocol.query_ids.tolist()]]
    return Detections(
        image_names=test.names,
        offsets=test.offsets,
        boxes=test.boxes.copy(),
        scores=np.full(test.num_persons, 0.9, dtype=np.float32),
        embeddings=unit(embeddings) * (length ** rng.uniform(size=(test.num_persons, 1))).astype(np.float32),
        query_embeddings=unit(queries) * np.float32(length),
    )


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


@pytest.fixture
def write_searched(tmp_path: Path, scenes: PersonSearchDataset) -> Callable[..., Path]:
    """Writes the results and the detections of a run that searched in `scenes`."""

    def write(
        name: str,
        *,
        noise: float = 0.5,
        length: float = 1,
        height: float = 1,
        protocol: str = "TestG6",
        rules: Rules = "oim",
        method: str = "cosine",
        normalize: bool = False,
        dataset: PersonSearchDataset | None = None,
        cameras: Cameras = "all",
    ) -> Path:
        dataset = scenes if dataset is None else dataset
        searched_in = open_protocol(dataset, protocol if dataset.kind == "prw" else "TestG6")
        if cameras != "all":
            searched_in = camera_protocol(searched_in, dataset, cameras)
        detections = found_in(dataset, searched_in, noise=noise, length=length)
        detections.boxes[:, 3] -= (1 - height) * (detections.boxes[:, 3] - detections.boxes[:, 1])
        if protocol == "all" and dataset.kind != "prw":
            options = ScoringOptions(gallery_sizes=("all",))
            searched_in = open_task(scenes.root, options).protocols[ProtocolName("all")]
        result = evaluate_search(
            searched_in,
            detections,
            rules=rules,
            method=METHODS[method],
            normalize=normalize,
        )
        failed = int((~result.hits[:, 0]).sum())
        searched = make_line(
            ProtocolName(protocol, cameras),
            result.average_precisions.tolist(),
            gallery_size=result.gallery_size,
            fingerprint=searched_in.fingerprint(),
            ids=searched_in.query_ids.tolist(),
            rules=rules,
            method=method,
            hits=result.hits,
            failures={"wrong person first": failed},
        )
        folder = tmp_path / name
        folder.mkdir(parents=True)
        data = ResultData("cuhk-sysu", "synthetic data 'scenes'", True, scenes.test.fingerprint())
        source = ResultSource(run=name, masks=True, recipe="tiny", step=1)
        write_results(folder / "results.json", ResultFile(data, source, (searched,)))
        write_detections(folder / "detections.npz", detections)
        return folder

    return write
