"""Results of evaluations as a JSON file: written by `maskps score` and `maskps eval`, read by a report.

{"format": "maskps-results", "version": 1,
 "data": {"kind", "name", "synthetic", "fingerprint"},
 "source": {"run", "detections" (one or both), "masks", "recipe", "step", "terms"},
 "results": [the keys of `ProtocolResult.to_dict()`, ...],
 "detection": {"all": {the keys of `DetectionResult.to_dict()`}, "labeled": {...}},
 "mask_quality": {the fields of `MaskQuality`}, "background_sensitivity": {those of `BackgroundSensitivity`};
 both only where they were measured}
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar, get_args, get_type_hints

import numpy as np

from maskps.errors import InputFileError
from maskps.evaluation.background import BackgroundSensitivity
from maskps.evaluation.detection import DetectionResult
from maskps.evaluation.mask_quality import MaskQuality
from maskps.evaluation.methods import METHODS
from maskps.evaluation.metrics import TOP_K
from maskps.evaluation.rules import RULES
from maskps.evaluation.search import SearchResult
from maskps.io.files import json_field, read_record, write_json
from maskps.protocols.sets import Cameras, ProtocolName

FORMAT = "maskps-results"
VERSION = 1
MARK = f'"{FORMAT}"'.encode()
"""In the first bytes of every result file."""

_WHAT = "results of maskps score or maskps eval"
_HINT = "the file was edited or cut off; write it again with --out"
_ROUNDING = 1e-9

Record = TypeVar("Record", "ResultData", "ResultSource", DetectionResult, MaskQuality, BackgroundSensitivity)


@dataclass(frozen=True)
class ResultData:
    """The data that were searched.

    Attributes:
        kind: on-disk format, e.g. "cuhk-sysu"; "protocol" for a protocol file without its data set.
        name: what the data may be called, as `maskps.datasets.naming.data_name` returns it.
        synthetic: whether they are rendered scenes.
        fingerprint: of the data set's test annotation, or of the protocol file's content.
    """

    kind: str
    name: str
    synthetic: bool
    fingerprint: str


@dataclass(frozen=True)
class ResultSource:
    """Where the detections came from: a run folder, a detections file, or both. None if not known.

    Attributes:
        run: path of the run folder, or of the ONNX file.
        detections: path of the file, relative to the folder of the result file; as given without one.
        masks: whether the network was trained with masks.
        recipe: name of its settings.
        step: training steps after which its weights were saved.
        terms: on which terms its weights may be used, as its training data demand.
    """

    run: str | None = None
    detections: str | None = None
    masks: bool | None = None
    recipe: str | None = None
    step: int | None = None
    terms: str | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class ProtocolResult(SearchResult):
    """One line of results: what one method reached under one protocol with one feature.

    Attributes:
        protocol: its name.
        fingerprint: of its queries, galleries and true boxes (`SearchProtocol.fingerprint`).
        feature: the vector compared, "embedding" or "pooled"; for a detections file, what the user said.
        method: a key of `maskps.evaluation.METHODS`.
    """

    protocol: ProtocolName
    fingerprint: str
    feature: str
    method: str

    def to_dict(self, *, per_query: bool = True) -> dict[str, Any]:
        """Returns plain values, ready for JSON, fractions at full precision."""
        name = {key: getattr(self, key) for key in ("fingerprint", "feature", "method")}
        return asdict(self.protocol) | name | super().to_dict(per_query=per_query)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> ProtocolResult:
        """Returns the line from what `to_dict` returned.

        Raises:
            ValueError: a key is missing, a value has the wrong type, or the numbers contradict each other.
        """
        for name, is_right in _KINDS.items():
            if name not in content:
                raise ValueError(f"no key '{name}'")
            if not is_right(content[name]):
                raise ValueError(f"'{name}' is {content[name]!r:.60}")
        own = {one.name: content[one.name] for one in fields(cls) if one.name != "protocol"}
        line = cls(
            **own
            | {
                "protocol": ProtocolName(content["protocol"], content["cameras"]),
                "average_precisions": np.array(content["average_precisions"], dtype=np.float64),
                "hits": np.array(content["hits"], dtype=np.bool_).reshape(-1, len(TOP_K)),
                "query_ids": tuple(content["query_ids"]),
            }
        )
        line._check(content)
        return line

    def _check(self, content: Mapping[str, Any]) -> None:
        rows = {len(self.query_ids), len(self.average_precisions), len(self.hits), content["queries"]}
        if len(rows) > 1 or self.queries == 0:
            raise ValueError(f"{content['queries']} queries, but rows for {sorted(rows)}")
        for name in ("mAP", "top1", "top5", "top10"):
            if abs(content[name] - getattr(self, name)) > _ROUNDING:
                raise ValueError(f"{name} {content[name]}, but the queries' mean is {getattr(self, name)}")
        without_hit = int((~self.hits[:, 0]).sum())
        if sum(self.failures.values()) != without_hit:
            raise ValueError(f"{without_hit} queries without a top-1 hit, but causes {dict(self.failures)}")


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _is_fraction(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1 + _ROUNDING


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _list_of(is_right: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list | tuple) and all(map(is_right, value))


_KINDS: dict[str, Callable[[Any], bool]] = {
    "protocol": _is_text,
    "cameras": get_args(Cameras).__contains__,
    "fingerprint": _is_text,
    "feature": _is_text,
    "method": METHODS.__contains__,
    "rules": RULES.__contains__,
    "gallery_size": _is_count,
    "queries": _is_count,
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
        source: where the detections came from.
        results: a line for each protocol and method.
        detection: of the detector, by "all" and "labeled" persons; empty without the annotation of all
            persons.
        mask_quality, background_sensitivity: of the mask branch and of the embedding, on persons with an
            outline; None where not measured.
    """

    data: ResultData
    source: ResultSource
    results: tuple[ProtocolResult, ...]
    detection: Mapping[str, DetectionResult] = field(default_factory=dict)
    mask_quality: MaskQuality | None = None
    background_sensitivity: BackgroundSensitivity | None = None

    def to_dict(self, *, per_query: bool = True) -> dict[str, Any]:
        """Returns plain values, ready for JSON, without the header of the file."""
        source = asdict(self.source)
        for name in ("run", "detections"):
            if source[name] is None:
                del source[name]
        measured = {
            name: asdict(value)
            for name in ("mask_quality", "background_sensitivity")
            if (value := getattr(self, name)) is not None
        }
        return {
            "data": asdict(self.data),
            "source": source,
            "results": [line.to_dict(per_query=per_query) for line in self.results],
            "detection": {name: result.to_dict() for name, result in self.detection.items()},
            **measured,
        }


def write_results(path: Path, results: ResultFile) -> None:
    """Writes the results as JSON, atomically.

    Raises:
        OutputError: the file cannot be written.
    """
    write_json(path, {"format": FORMAT, "version": VERSION, **results.to_dict()})


def read_results(path: Path) -> ResultFile:
    """Returns the content of a result file.

    Raises:
        InputFileError: missing, cut off, of another format or version, or its numbers contradict each other.
    """
    content = read_record(
        path, format=FORMAT, version=VERSION, what=_WHAT, hint="give a file written with --out"
    )
    lines = json_field(content, "results", list, path, hint=_HINT)
    if not lines:
        raise InputFileError(path, expected="one result or more", found="none", hint=_HINT)
    detection = json_field(content, "detection", dict, path, hint=_HINT)
    source = _record(ResultSource, path, json_field(content, "source", dict, path, hint=_HINT))
    if source.run is None and source.detections is None:
        expected, found = "'source' with 'run' or 'detections'", f"{source}"
        raise InputFileError(path, expected=expected, found=found, hint=_HINT)
    return ResultFile(
        data=_record(ResultData, path, json_field(content, "data", dict, path, hint=_HINT)),
        source=source,
        results=tuple(_read_line(path, number, line) for number, line in enumerate(lines)),
        detection={name: _read_detection(path, name, detection) for name in detection},
        mask_quality=_read_measured(MaskQuality, path, content, "mask_quality"),
        background_sensitivity=_read_measured(BackgroundSensitivity, path, content, "background_sensitivity"),
    )


def _read_measured(cls: type[Record], path: Path, content: Mapping[str, Any], key: str) -> Record | None:
    if key not in content:
        return None
    result = _record(cls, path, json_field(content, key, dict, path, hint=_HINT))
    for name, value in vars(result).items():
        if not (_is_fraction(value) if name.startswith("iou") else 0 <= value < math.inf):
            expected, found = f"'{key}' as maskps writes it", f"{name} {value}"
            raise InputFileError(path, expected=expected, found=found, hint=_HINT)
    return result


def _read_line(path: Path, number: int, content: Any) -> ProtocolResult:
    try:
        if not isinstance(content, dict):
            raise ValueError(f"{content!r:.60}")
        return ProtocolResult.from_dict(content)
    except (TypeError, ValueError) as error:
        raise InputFileError(
            path, expected=f"result {number} as maskps writes it", found=str(error), hint=_HINT
        ) from error


def _read_detection(path: Path, name: str, content: Mapping[str, Any]) -> DetectionResult:
    numbers = json_field(content, name, dict, path, hint=_HINT)
    result = _record(DetectionResult, path, {**numbers, "average_precision": numbers.get("AP")})
    if not _is_fraction(result.recall) or not _is_fraction(result.average_precision):
        found = f"recall {result.recall}, AP {result.average_precision}"
        raise InputFileError(path, expected=f"'detection', '{name}' from 0 to 1", found=found, hint=_HINT)
    return result


def _record(cls: type[Record], path: Path, content: Mapping[str, Any]) -> Record:
    """Returns the record with these values.

    Raises:
        InputFileError: a value is missing or does not have the type of its field.
    """
    values: dict[str, Any] = {one.name: content.get(one.name) for one in fields(cls)}
    for name, kind in get_type_hints(cls).items():
        if type(values[name]) not in (get_args(kind) or (kind,)):
            found = f"{values[name]!r:.60}" if name in content else "no such key"
            raise InputFileError(path, expected=f"'{name}' as {kind}", found=found, hint=_HINT)
    return cls(**values)
