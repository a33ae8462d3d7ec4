"""Results of evaluations as a JSON file: what `maskps score` and `maskps eval` write, what a report reads.

{"format": "maskps-results", "version": 1,
 "data": {"kind", "name", "synthetic", "fingerprint"},
 "source": {"run" or "detections", "masks", "recipe", "step"},
 "results": [{"protocol", "feature", "method", and the keys of `SearchResult.to_dict(per_query=True)`}, ...],
 "detection": {"all": {the keys of `DetectionResult.to_dict()`}, "labeled": {...}}}
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from maskps.errors import InputFileError
from maskps.evaluation.metrics import TOP_K
from maskps.io.files import json_field, read_record, write_json

FORMAT = "maskps-results"
VERSION = 1
MARK = f'"{FORMAT}"'.encode()
"""In the first bytes of every result file."""

METHODS = ("cosine", "euclidean", "cbgm", "rerank")
"""How a ranking came about: by plain similarity, by Euclidean distance of the vectors as they are, by context
matching (CBGM), by k-reciprocal re-ranking."""

_WHAT = "results of maskps score or maskps eval"
_HINT = "the file was edited or cut off; write it again with --out"
_ROUNDING = 1e-9


@dataclass(frozen=True)
class ResultData:
    """The data that were searched.

    Attributes:
        kind: on-disk format, e.g. "cuhk-sysu"; "protocol" for a protocol file without a data set around it.
        name: what the data may be called, as `maskps.datasets.naming.data_name` says.
        synthetic: whether they are rendered scenes.
        fingerprint: of the data set's training annotation, or of the protocol file's content.
    """

    kind: str
    name: str
    synthetic: bool
    fingerprint: str


@dataclass(frozen=True)
class ResultSource:
    """Where the detections came from: a run folder or a detections file; the rest is None if not known.

    Attributes:
        run: path of the run folder.
        detections: path of the file.
        masks: whether the network was trained with masks.
        recipe: a name for its settings.
        step: training steps after which its weights were saved.
    """

    run: str | None = None
    detections: str | None = None
    masks: bool | None = None
    recipe: str | None = None
    step: int | None = None


@dataclass(frozen=True, eq=False)
class ProtocolResult:
    """One line of results: one protocol, one feature, one set of rules, one method.

    Attributes:
        protocol: e.g. "TestG100", "Occlusion", "all".
        feature: the vector compared, "embedding" or "pooled"; of a detections file what its maker says.
        method: one of `METHODS`.
        rules: matching rules, "oim", "seqnet" or "paper".
        gallery_size: longest gallery, in images.
        queries: number of queries, Q.
        score_threshold: detections below it were left out.
        mAP, top1, top5, top10: fractions.
        failures: how many queries without a top-1 hit failed for which cause.
        query_ids: of the queries, as the data set names them.
        average_precisions: (Q,) float64.
        hits: (Q, 3) bool, as in `SearchResult`.
    """

    protocol: str
    feature: str
    method: str
    rules: str
    gallery_size: int
    queries: int
    score_threshold: float
    mAP: float
    top1: float
    top5: float
    top10: float
    failures: Mapping[str, int]
    query_ids: tuple[str, ...]
    average_precisions: NDArray[np.float64]
    hits: NDArray[np.bool_]

    def to_dict(self, per_query: bool = True) -> dict[str, Any]:
        """Returns plain values, ready for JSON, fractions at full precision."""
        left_out = () if per_query else ("query_ids", "average_precisions", "hits")
        values = {one.name: getattr(self, one.name) for one in fields(self) if one.name not in left_out}
        return {
            name: value.tolist()
            if isinstance(value, np.ndarray)
            else dict(value)
            if name == "failures"
            else value
            for name, value in values.items()
        }

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ProtocolResult:
        """Returns the line of these values, checked to be what `to_dict` gives.

        Raises:
            ValueError: a key is missing, a value of another kind, or the numbers contradict each other.
        """
        missing = [one.name for one in fields(cls) if one.name not in content]
        if missing:
            raise ValueError(f"no key '{missing[0]}'")
        values = {one.name: content[one.name] for one in fields(cls)}
        for name, is_right in _KINDS.items():
            if not is_right(values[name]):
                raise ValueError(f"'{name}' is {values[name]!r:.60}")
        values["average_precisions"] = np.array(values["average_precisions"], dtype=np.float64)
        values["hits"] = np.array(values["hits"], dtype=np.bool_).reshape(-1, len(TOP_K))
        values["query_ids"] = tuple(values["query_ids"])
        line = cls(**values)
        line._check()
        return line

    def _check(self) -> None:
        rows = {len(self.query_ids), len(self.average_precisions), len(self.hits), self.queries}
        if len(rows) > 1 or self.queries == 0:
            raise ValueError(f"{self.queries} queries, but rows for {sorted(rows)}")
        means = (self.average_precisions.mean(), *self.hits.mean(axis=0))
        for name, mean in zip(("mAP", "top1", "top5", "top10"), means, strict=True):
            if abs(getattr(self, name) - mean) > _ROUNDING:
                raise ValueError(f"{name} {getattr(self, name)}, but the queries' mean is {mean}")
        without_hit = int((~self.hits[:, 0]).sum())
        if sum(self.failures.values()) != without_hit:
            raise ValueError(f"{without_hit} queries without a top-1 hit, but causes {dict(self.failures)}")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_fraction(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1 + _ROUNDING


def _list_of(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list | tuple) and all(map(is_right, value))


_KINDS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("protocol", "feature", "rules"), _is_text),
    "method": METHODS.__contains__,
    **dict.fromkeys(("gallery_size", "queries"), _is_count),
    "score_threshold": lambda value: type(value) in (int, float) and math.isfinite(value),
    **dict.fromkeys(("mAP", "top1", "top5", "top10"), _is_fraction),
    "failures": lambda value: isinstance(value, dict) and all(map(_is_count, value.values())),
    "query_ids": _list_of(_is_text),
    "average_precisions": _list_of(_is_fraction),
    "hits": _list_of(lambda row: len(row) == len(TOP_K) and all(type(hit) is bool for hit in row)),
}


@dataclass(frozen=True)
class ResultFile:
    """Everything that one evaluation measured.

    Attributes:
        data: what was searched.
        source: whose detections they were.
        results: a line for each protocol and method.
        detection: numbers of `DetectionResult.to_dict` by "all" and "labeled" persons; empty where the
            annotation of all persons is not at hand.
    """

    data: ResultData
    source: ResultSource
    results: tuple[ProtocolResult, ...]
    detection: Mapping[str, Mapping[str, float | bool]] = field(default_factory=dict)

    def to_dict(self, per_query: bool = True) -> dict[str, Any]:
        """Returns plain values, ready for JSON; the header of the file is not among them."""
        source = asdict(self.source)
        del source["run" if self.source.run is None else "detections"]
        return {
            "data": asdict(self.data),
            "source": source,
            "results": [line.to_dict(per_query) for line in self.results],
            "detection": {name: dict(numbers) for name, numbers in self.detection.items()},
        }


def write_results(path: Path, results: ResultFile) -> None:
    """Writes the results as JSON, whole or not at all.

    Raises:
        OutputError: it cannot be written there.
    """
    write_json(path, {"format": FORMAT, "version": VERSION, **results.to_dict()})


def read_results(path: Path) -> ResultFile:
    """Returns the content of a result file.

    Raises:
        InputFileError: missing, cut off, of another kind or version, or its numbers contradict each other.
    """
    content = read_record(
        path, format=FORMAT, version=VERSION, what=_WHAT, hint="give a file written with --out"
    )
    lines = json_field(content, "results", list, path, hint=_HINT)
    if not lines:
        raise InputFileError(path, expected="one result or more", found="none", hint=_HINT)
    detection = json_field(content, "detection", dict, path, hint=_HINT)
    for name, numbers in detection.items():
        if not isinstance(numbers, dict) or not all(map(_is_number, numbers.values())):
            raise InputFileError(
                path, expected=f"'detection', '{name}' as numbers", found=f"{numbers!r:.60}", hint=_HINT
            )
    return ResultFile(
        data=_read_data(path, json_field(content, "data", dict, path, hint=_HINT)),
        source=_read_source(path, json_field(content, "source", dict, path, hint=_HINT)),
        results=tuple(_read_line(path, number, line) for number, line in enumerate(lines)),
        detection=detection,
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)  # true and false are numbers, too


def _read_line(path: Path, number: int, content: Any) -> ProtocolResult:
    try:
        if not isinstance(content, dict):
            raise ValueError(f"{content!r:.60}")
        return ProtocolResult.from_dict(content)
    except (TypeError, ValueError) as error:
        raise InputFileError(
            path, expected=f"result {number} as maskps writes it", found=str(error), hint=_HINT
        ) from error


def _read_data(path: Path, content: Mapping[str, Any]) -> ResultData:
    texts = [json_field(content, key, str, path, hint=_HINT) for key in ("kind", "name", "fingerprint")]
    if not isinstance(content.get("synthetic"), bool):
        raise InputFileError(
            path,
            expected="'synthetic' as true or false",
            found=f"{content.get('synthetic')!r:.60}",
            hint=_HINT,
        )
    return ResultData(kind=texts[0], name=texts[1], synthetic=content["synthetic"], fingerprint=texts[2])


def _read_source(path: Path, content: Mapping[str, Any]) -> ResultSource:
    allowed: dict[str, Sequence[type]] = {
        "run": (str, type(None)),
        "detections": (str, type(None)),
        "masks": (bool, type(None)),
        "recipe": (str, type(None)),
        "step": (int, type(None)),
    }
    values = {key: content.get(key) for key in allowed}
    wrong = [key for key, types in allowed.items() if type(values[key]) not in types]
    if wrong or (values["run"] is None) == (values["detections"] is None):
        raise InputFileError(
            path,
            expected="'source' with either 'run' or 'detections', and masks, recipe and step",
            found=f"{dict(content)!r:.80}",
            hint=_HINT,
        )
    return ResultSource(**values)
