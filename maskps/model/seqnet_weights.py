"""SeqNet's weights under our names: the state dict of its class `SeqNet` becomes one of ours.

Source: models/seqnet.py and models/resnet.py of serend1p1ty/SeqNet, with torchvision's names below them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from maskps.errors import InputFileError
from maskps.model.tensor_files import DTYPES, is_sound

TABLE, QUEUE = "roi_heads.reid_loss.lut", "roi_heads.reid_loss.cq"

_NAMES = {
    "stem.": "backbone.",
    "rpn.head.conv.": "rpn.head.conv.",
    "rpn.head.objectness.": "rpn.head.cls_logits.",
    "rpn.head.deltas.": "rpn.head.bbox_pred.",
    "roi_heads.first.res5.": "roi_heads.box_head.",
    "roi_heads.first.box_head.classifier.": "roi_heads.faster_rcnn_predictor.cls_score.",
    "roi_heads.first.box_head.regressor.": "roi_heads.faster_rcnn_predictor.bbox_pred.",
    "roi_heads.res5.": "roi_heads.reid_head.",
    "roi_heads.box_head.regressor.": "roi_heads.box_predictor.bbox_pred.0.",
    "roi_heads.box_head.regressor_norm.": "roi_heads.box_predictor.bbox_pred.1.",
    "roi_heads.box_head.rescaler.": "roi_heads.embedding_head.rescaler.",
    "roi_heads.embedding.projections.0.": "roi_heads.embedding_head.projectors.feat_res4.0.",
    "roi_heads.embedding.projections.1.": "roi_heads.embedding_head.projectors.feat_res5.0.",
    "roi_heads.id_loss.lookup_table": TABLE,
    "roi_heads.id_loss.circular_queue": QUEUE,
}
"""The beginning of our names, and of theirs."""

_JOINED = "roi_heads.embedding.norm."
_PARTS = (
    "roi_heads.embedding_head.projectors.feat_res4.1.",
    "roi_heads.embedding_head.projectors.feat_res5.1.",
)
"""Our batch norm over all of f_id is theirs over the half from res4 and over the half from res5."""

_REGRESSORS = (
    "roi_heads.first.box_head.regressor.",
    "roi_heads.box_head.regressor.",
    "roi_heads.box_head.regressor_norm.",
)
"""They have 4 outputs for the background and 4 for a person; ours only the latter."""

_RENAMED = ("rpn.head.conv.0.0.", "rpn.head.conv.")
"""torchvision 0.13 gave this layer its longer name."""

_MARKS = {
    "roi_heads.box_head_2nd.": "COAT",
    "transformer_encoder": "COAT",
    "backbone.bb.": "GLCNet",
    "roi_heads.prop_head.": "GFN",
    "detection_roi_heads.": "SEAS",
    "roi_heads.box_predictor.bbox_cls.": "OIMNet++",
    "roi_heads.box_predictor.cls_score.": "NAE",
    "backbone.conv4_3.": "deep-person-search",
    "roi_heads.box_predictor.bbox_pred.weight": "SeqNet without a batch norm behind its regressor (BN_NECK)",
    "roi_heads.id_loss.": "maskps",
}
"""A part of a name that only this network has."""

_NOT_ALIKE = "of another shape or type"
_NOT_NUMBERS = "not finite, or a variance below 0"
_SHOWN, _LONGEST = 3, 120


class SeqNetWeights(NamedTuple):
    """What became of the entries of a state dict.

    Attributes:
        state: tensors under our names; those that SeqNet lacks are missing: the mask branch, and the position
            in the queue.
        unused: an entry, or a part of one, and why it is not used.
    """

    state: dict[str, Tensor]
    unused: dict[str, str]


def read_seqnet_state(entries: Mapping[str, Any], own: Mapping[str, Tensor], *, where: Path) -> SeqNetWeights:
    """Returns SeqNet's tensors under our names, in the dtype of ours. Every entry is used, or is in `unused`.

    Args:
        entries: SeqNet's state dict.
        own: the state dict of our network with its settings.
        where: the file, for the error message.

    Raises:
        InputFileError: entries are missing, unknown, of another shape, or not finite; it lists them.
    """
    entries = _in_todays_names(entries)
    state: dict[str, Tensor] = {}
    unused: dict[str, str] = {}
    known: set[str] = set()
    problems: dict[str, list[str]] = {"missing": [], _NOT_ALIKE: [], _NOT_NUMBERS: []}
    for name, like in own.items():
        theirs = _their_names(name)
        known.update(theirs)
        parts = 2 if name.startswith(_REGRESSORS) else 1 / max(1, len(theirs))
        shape = tuple(int(size * parts) if axis == 0 else size for axis, size in enumerate(like.shape))
        wrong = {one: _wrong(one, entries.get(one), like, shape) for one in theirs}
        for one, kind in wrong.items():
            if kind:
                problems[kind].append(one + _difference(entries.get(one), shape) * (kind == _NOT_ALIKE))
        if theirs and not any(wrong.values()):
            state[name] = _ours(name, [entries[one].to(like.dtype) for one in theirs], unused, theirs)
    problems["unknown"] = [name for name in entries if name not in known]
    if any(problems.values()):
        raise _error(where, entries, problems)
    return SeqNetWeights(state, unused)


def sizes_of_state(entries: Mapping[str, Any]) -> tuple[int, int]:
    """Returns the rows of OIM's table and of its queue; 0 for one that is not a matrix of numbers."""
    return _rows(entries.get(TABLE)), _rows(entries.get(QUEUE))


def _in_todays_names(entries: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the entries under the names in `_NAMES`; one whose name there is taken keeps its own."""
    old, new = _RENAMED
    renamed = {name: new + name.removeprefix(old) for name in entries if name.startswith(old)}
    return {
        name if renamed.get(name, name) in entries else renamed[name]: value
        for name, value in entries.items()
    }


def _rows(value: Any) -> int:
    return len(value) if isinstance(value, Tensor) and value.dim() == 2 and is_sound(value) else 0


def _their_names(name: str) -> tuple[str, ...]:
    """Returns the names of SeqNet's tensors of which one of ours consists."""
    if name.startswith(_JOINED):
        return tuple(part + name.removeprefix(_JOINED) for part in _PARTS)
    starts = [ours for ours in _NAMES if name.startswith(ours)]
    return tuple(_NAMES[ours] + name.removeprefix(ours) for ours in starts)


def _wrong(name: str, value: Any, like: Tensor, shape: tuple[int, ...]) -> str:
    """Returns the kind of problem that an entry has; "" if it fits."""
    if value is None:
        return "missing"
    if not isinstance(value, Tensor) or value.shape != shape:
        return _NOT_ALIKE
    if value.is_floating_point() != like.is_floating_point() or value.dtype not in DTYPES:
        return _NOT_ALIKE
    is_variance = name.endswith("running_var")
    return "" if is_sound(value) and not (is_variance and bool((value < 0).any())) else _NOT_NUMBERS


def _difference(value: Any, shape: tuple[int, ...]) -> str:
    """Returns what an entry is, and the shape that it should have."""
    found = type(value).__name__
    if isinstance(value, Tensor):
        found = f"{list(value.shape)} of {str(value.dtype).removeprefix('torch.')}"
    return f": {found}, not {list(shape)}"


def _short(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 3] + "..."


def _ours(name: str, parts: list[Tensor], unused: dict[str, str], theirs: tuple[str, ...]) -> Tensor:
    """Returns our tensor of theirs, and adds what is left over to `unused`."""
    first = parts[0]
    if first.dim() == 0:
        unused.update(dict.fromkeys(theirs[1:], "a counter that stands twice"))
        return first
    if name.startswith(_REGRESSORS):
        rows = len(first) // 2
        unused[f"{theirs[0]}, rows 0 to {rows - 1}"] = "boxes of the background"
        return first[rows:]
    return torch.cat(parts) if len(parts) > 1 else first


def _error(where: Path, entries: Iterable[str], problems: Mapping[str, list[str]]) -> InputFileError:
    network = next((one for mark, one in _MARKS.items() if any(mark in name for name in entries)), "")
    texts = [
        f"{len(names)} {kind} ({', '.join(map(_short, names[:_SHOWN]))}{', ...' * (len(names) > _SHOWN)})"
        for kind, names in problems.items()
        if names
    ]
    return InputFileError(
        where,
        expected="the state dict of SeqNet: 416 tensors, all of them known, of its shapes, and finite",
        found=", ".join([f"by its names, {network}"] * bool(network) + [f"entries: {'; '.join(texts)}"]),
        hint="docs/weights.md says which networks can be read"
        if network
        else "give the file as SeqNet's train.py wrote it, or the state dict in it",
    )
