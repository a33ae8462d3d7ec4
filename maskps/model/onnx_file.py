"""The ONNX file of a network: how it begins, and what it says about the network. Without torch and onnx.

An ONNX file is a protocol buffer, whose fields may come in any order and whose repeated fields may be spread.
So the file begins with entries of `metadata_props`, and the exporter's graph follows as it is:

    maskps-onnx-001   the sha256 (hex) of all bytes behind this entry; 001 is the version of this format
    maskps.*          the fields of `OnnxInfo`: text as it is, all else as JSON
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import maskps
from maskps.errors import InputFileError
from maskps.io.files import explained_reading, read_bytes, written_atomically
from maskps.model.prediction import Resize

VERSION = 1
MARK = b"maskps-onnx-"
"""In the first bytes of every such file."""

_METADATA_PROPS, _KEY, _VALUE = 14, 1, 2  # field numbers in onnx.proto
_WHAT = "an ONNX file of maskps export"
_HINT = "make it with maskps export"


@dataclass(frozen=True)
class OnnxInfo:
    """What a file says about its network, besides the graph.

    Attributes:
        weights: sha256 (hex) of the network's weights, as `Predictor.weights`.
        dim: D, the numbers of an embedding.
        shorter_side, longest_side, resize: how images are resized, as `resize_image`.
        weigh_by_score: whether detections' embeddings are multiplied by their scores, as `Predictor`.
        score_threshold, nms_threshold, detections_per_image: which boxes are detections; they are part of
            the graph.
        recipe, terms: as `Predictor`.
        maskps: version of maskps that wrote the file.
    """

    weights: str
    dim: int
    shorter_side: int
    longest_side: int
    resize: Resize
    weigh_by_score: bool
    score_threshold: float
    nms_threshold: float
    detections_per_image: int
    recipe: str = ""
    terms: str = ""
    maskps: str = maskps.__version__

    def to_metadata(self) -> dict[str, str]:
        """Returns the entries of `metadata_props`."""
        return {
            f"maskps.{name}": value if isinstance(value, str) else json.dumps(value)
            for name, value in dataclasses.asdict(self).items()
        }

    @classmethod
    def from_metadata(cls, entries: Mapping[str, str], path: Path) -> OnnxInfo:
        """Returns the fields from the entries of the file `path`.

        Raises:
            InputFileError: an entry is missing or of another type.
        """
        kinds: dict[str, Any] = {"int": int, "bool": bool, "float": (int, float)}
        values: dict[str, Any] = {}
        for field in dataclasses.fields(cls):
            text = entries.get(f"maskps.{field.name}")
            kind = str(field.type)
            try:
                value = text if kind not in kinds or text is None else json.loads(text)
            except ValueError:
                value = None
            if value is None or not isinstance(value, kinds.get(kind, str)):
                found = "no such entry" if text is None else repr(text)
                raise InputFileError(
                    path, expected=f"maskps.{field.name} in {_WHAT}", found=found, hint=_HINT
                )
            values[field.name] = value
        choices = typing.get_args(Resize)
        if values["resize"] not in choices:
            raise InputFileError(
                path,
                expected=f"maskps.resize, one of {', '.join(choices)}",
                found=repr(values["resize"]),
                hint="install the maskps release that wrote it",
            )
        return cls(**values)


def onnx_content(graph: bytes, info: OnnxInfo) -> bytes:
    """Returns the content of a file: a serialised ONNX model, with what `info` says before it."""
    rest = b"".join(_entry(key, value) for key, value in info.to_metadata().items()) + graph
    return _seal(VERSION, rest) + rest


def write_onnx(path: Path, content: bytes) -> None:
    """Writes what `onnx_content` returns, atomically."""
    with written_atomically(path) as temporary:
        temporary.write_bytes(content)


def read_onnx(path: Path) -> bytes:
    """Returns the content of a file that `maskps export` wrote, after comparing it with its sha256.

    Raises:
        InputFileError: no such file, another kind of file, one of a newer version, or a damaged one.
    """
    with explained_reading(path, what=_WHAT, hint=_HINT):
        content = read_bytes(path)
    start = content.find(MARK, 0, 16) + len(MARK)
    digits = content[start : start + 3]
    if start < len(MARK) or not digits.isdigit():
        found = "an empty file" if not content else "another kind of file"
        raise InputFileError(path, expected=_WHAT, found=found, hint=_HINT)
    if int(digits) != VERSION:
        raise InputFileError(
            path,
            expected=f"format version {VERSION}",
            found=f"version {int(digits)}",
            hint="install the maskps release that wrote it, or export the run again",
        )
    rest = content[len(_seal(VERSION, b"")) :]
    if content != _seal(VERSION, rest) + rest:
        raise InputFileError(
            path,
            expected=_WHAT,
            found="bytes that are not those that were written",
            hint="the file is cut off or damaged; copy it again, or export the run again",
        )
    return content


def _seal(version: int, rest: bytes) -> bytes:
    """Returns the first entry of a file, always of the same length."""
    return _entry(f"{MARK.decode()}{version:03d}", hashlib.sha256(rest).hexdigest())


def _entry(key: str, value: str) -> bytes:
    """Returns an entry of `metadata_props`, as a protocol buffer."""
    return _field(_METADATA_PROPS, _field(_KEY, key.encode()) + _field(_VALUE, value.encode()))


def _field(number: int, content: bytes) -> bytes:
    """Returns a field that has a length."""
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    if number < 128:
        return bytes([number])
    return bytes([number & 127 | 128]) + _varint(number >> 7)
