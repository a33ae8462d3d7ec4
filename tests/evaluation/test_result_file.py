"""Result files: what is written comes back, and what was edited or cut off is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from maskps.errors import InputFileError
from maskps.evaluation.background import BackgroundSensitivity
from maskps.evaluation.detection import DetectionResult
from maskps.evaluation.mask_quality import MaskQuality
from maskps.evaluation.result_file import (
    ProtocolResult,
    ResultData,
    ResultFile,
    ResultSource,
    read_results,
    write_results,
)
from maskps.protocols import ProtocolName


def line(**changes: Any) -> ProtocolResult:
    values: dict[str, Any] = {
        "protocol": ProtocolName("TestG100"),
        "fingerprint": "f" * 64,
        "feature": "embedding",
        "method": "cosine",
        "rules": "oim",
        "gallery_size": 100,
        "score_threshold": 0.5,
        "failures": {"not detected": 1, "wrong person first": 1},
        "query_ids": ("p1", "p2", "p3"),
        "average_precisions": np.array([1, 1 / 3, 0]),
        "hits": np.array([[True] * 3, [False, True, True], [False] * 3]),
    }
    return ProtocolResult(**(values | changes))


RESULTS = ResultFile(
    data=ResultData("cuhk-sysu", "synthetic data 'scenes'", True, "f" * 64),
    source=ResultSource(run="run", masks=True, recipe="tiny", step=300),
    results=(line(), line(protocol=ProtocolName("all", "same"), method="cbgm", gallery_size=6977)),
    detection={"all": DetectionResult(0.5, 0.4, 7, 9, 3, 0.5, 0.5, labeled_only=False)},
    mask_quality=MaskQuality(20, 0, 0.7, 0.6, 0.5, 0.3, 0.4),
    background_sensitivity=BackgroundSensitivity(20, 3, 0.2, 0.1, 0.5),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    write_results(tmp_path / "result.json", RESULTS)
    return tmp_path / "result.json"


def test_everything_comes_back_at_full_precision(path: Path) -> None:
    again = read_results(path)
    assert (again.data, again.source, again.detection) == (RESULTS.data, RESULTS.source, RESULTS.detection)
    assert again.mask_quality == RESULTS.mask_quality
    assert again.background_sensitivity == RESULTS.background_sensitivity
    assert again.to_dict() == RESULTS.to_dict()
    assert again.results[0].average_precisions[1] == 1 / 3
    assert again.results[0].hits.dtype == np.bool_ and again.results[0].hits.shape == (3, 3)


def test_the_file_has_the_documented_keys(path: Path) -> None:
    content = json.loads(path.read_text())
    parts = ["data", "source", "results", "detection", "mask_quality", "background_sensitivity"]
    assert list(content) == ["format", "version", *parts]
    assert content["data"].keys() == {"kind", "name", "synthetic", "fingerprint"}
    assert content["source"].keys() == {"run", "masks", "recipe", "step", "terms"}
    assert content["results"][0]["average_precisions"][0] == 1


def test_a_detections_file_as_source_comes_back(tmp_path: Path) -> None:
    source = ResultSource(detections="dets.npz")
    write_results(tmp_path / "r.json", ResultFile(RESULTS.data, source, (line(),)))
    assert read_results(tmp_path / "r.json").source == source
    assert "run" not in json.loads((tmp_path / "r.json").read_text())["source"]


def test_a_run_and_its_detections_come_back_together(tmp_path: Path) -> None:
    source = ResultSource(run="run", detections="../dets.npz")
    write_results(tmp_path / "r.json", ResultFile(RESULTS.data, source, (line(),)))
    assert read_results(tmp_path / "r.json").source == source


@pytest.mark.parametrize("key", ["mask_quality", "background_sensitivity"])
def test_what_was_not_measured_is_not_there(key: str, tmp_path: Path) -> None:
    write_results(tmp_path / "r.json", replace(RESULTS, **{key: None}))
    assert key not in json.loads((tmp_path / "r.json").read_text())
    assert getattr(read_results(tmp_path / "r.json"), key) is None


def test_without_the_queries_a_line_keeps_its_sums() -> None:
    assert line().to_dict(per_query=False).keys() == line().to_dict().keys() - {
        "query_ids",
        "average_precisions",
        "hits",
    }


def set_in_line(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content["results"][0].__setitem__(key, value)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda content: content.__setitem__("version", 2), "version 2"),
        (lambda content: content.__setitem__("format", "maskps-run"), "another kind"),
        (lambda content: content.__setitem__("results", []), "none"),
        (lambda content: content["results"].__setitem__(0, 7), "result 0"),
        (lambda content: content["results"][0].pop("mAP"), "no key 'mAP'"),
        (lambda content: content["data"].__setitem__("synthetic", "no"), "synthetic"),
        (lambda content: content["data"].pop("name"), "'name'"),
        (lambda content: content["source"].pop("run"), "'run' or 'detections'"),
        (lambda content: content["source"].__setitem__("step", "9"), "'9'"),
        (
            lambda content: content["detection"]["all"].__setitem__("recall", float("nan")),
            "'detection', 'all'",
        ),
        (lambda content: content["detection"]["all"].pop("persons"), "'persons'"),
        (lambda content: content["detection"].__setitem__("all", 7), "'all'"),
        (lambda content: content["mask_quality"].pop("bce"), "'bce'"),
        (lambda content: content["mask_quality"].__setitem__("iou", 1.1), "iou 1.1"),
        (lambda content: content["mask_quality"].__setitem__("bce", float("nan")), "bce nan"),
        (lambda content: content["mask_quality"].__setitem__("test_persons", -1), "test_persons -1"),
        (
            lambda content: content["background_sensitivity"].__setitem__("sensitivity", -0.1),
            "sensitivity -0.1",
        ),
        (lambda content: content.__setitem__("mask_quality", None), "'mask_quality'"),
        (set_in_line("mAP", 0.9), "the queries' mean"),
        (set_in_line("top5", 1), "the queries' mean"),
        (set_in_line("mAP", "0.9"), "'mAP' is"),
        (set_in_line("mAP", float("nan")), "'mAP' is"),
        (set_in_line("method", "magic"), "magic"),
        (set_in_line("query_ids", ["p1"]), "3 queries"),
        (set_in_line("hits", [[True, True]] * 3), "'hits' is"),
        (set_in_line("hits", [1, 2, 3]), "result 0"),
        (set_in_line("failures", {"not detected": 1}), "2 queries without a top-1 hit"),
        (set_in_line("failures", {"not detected": -1}), "'failures' is"),
    ],
)
def test_what_was_edited_is_named(path: Path, edit: Callable[[dict[str, Any]], None], message: str) -> None:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    with pytest.raises(InputFileError, match=message):
        read_results(path)


def test_a_file_cut_off_and_a_missing_one_are_named(path: Path, tmp_path: Path) -> None:
    path.write_text(path.read_text()[:-40])
    with pytest.raises(InputFileError, match="cut off"):
        read_results(path)
    with pytest.raises(InputFileError, match="no such file"):
        read_results(tmp_path / "none.json")
