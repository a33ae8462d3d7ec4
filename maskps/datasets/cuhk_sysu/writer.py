"""Writes the annotation files of CUHK-SYSU with the nesting, types and keys of the released ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from maskps.boxes import xyxy_to_xywh
from maskps.datasets.cuhk_sysu import layout
from maskps.errors import AnnotationError
from maskps.io.matlab.writer import (
    cell_matrix,
    char_matrix,
    number_matrix,
    struct_head,
    struct_matrix,
    write_mat,
)
from maskps.protocols.protocol import SearchProtocol, protocol_key
from maskps.structures import BACKGROUND_PID, SceneTable

_BOX_FIELDS = ("idlocate", "ishard")
_SCENE_FIELDS = ("imname", "idlocate", "ishard")
_QUERY_FIELDS = ("imname", "idlocate", "ishard", "idname")
_PERSON_FIELDS = ("idname", "nAppear", "scene")

_EMPTY = number_matrix(())
_FLAGS = (number_matrix((0,)), number_matrix((1,)))


def write_cuhk_sysu(
    root: Path,
    *,
    train: SceneTable,
    test: SceneTable,
    train_ids: NDArray[np.str_],
    test_ids: NDArray[np.str_],
    protocols: Mapping[str, SearchProtocol],
) -> None:
    """Writes `annotation/` below `root`; `read_cuhk_sysu` gives the same tables back.

    Boxes become x, y, width, height in the smallest of uint8 and uint16 that holds them, as in the
    released files (float64 if they are not whole). Images.mat lists the training scenes first. The
    test tables' pids are written only through `protocols` and Person.mat: as released, the files hold
    no other list of test identities.

    Args:
        train: labeled pids 1..N index `train_ids`.
        test: labeled pids 1..M index `test_ids`.
        protocols: by name: "TestG50" ... "TestG4000", "Occlusion", "Resolution".

    Raises:
        AnnotationError: a pid without an id, a scene in both tables, or a protocol that names a scene
            outside `test`.
    """
    _check_tables(train, test, train_ids, test_ids, protocols)
    images = [*_image_elements(train), *_image_elements(test)]
    write_mat(root / layout.IMAGES_FILE, [struct_matrix(("imname", "nAppear", "box"), images, name="Img")])
    pool = [char_matrix(str(name)) for name in test.names]
    write_mat(root / layout.POOL_FILE, [cell_matrix(pool, name="pool")])

    train_persons = _person_elements(train, train_ids)
    cells = [struct_matrix(_PERSON_FIELDS, [person]) for person in train_persons]
    write_mat(root / layout.TRAIN_FILE, [cell_matrix(cells, name="Train")])
    persons = train_persons + _person_elements(test, test_ids)
    write_mat(root / layout.PERSON_FILE, [struct_matrix(_PERSON_FIELDS, persons, name="Person")])

    for name, protocol in protocols.items():
        write_mat(root / layout.protocol_file(name), protocol_chunks(name, protocol))


def protocol_chunks(name: str, protocol: SearchProtocol) -> Iterator[bytes]:
    """Yields the matrix of a test protocol, one chunk per query.

    An entry without a true box has empty cells for box and mark, which makes all entries of one
    scene the same bytes: they are built once per scene and joined.
    """
    fields = ("Query", "Gallery", "occlusion") if name == "Occlusion" else ("Query", "Gallery")
    scenes = [char_matrix(str(scene)) for scene in protocol.image_names]
    distractors = [scene + _EMPTY + _EMPTY for scene in scenes]
    lengths = protocol.lengths

    queries = [
        struct_matrix(_QUERY_FIELDS, [scenes[scene] + box + _FLAGS[hard] + char_matrix(str(identity))])
        for scene, box, hard, identity in zip(
            protocol.query_scenes,
            _box_matrices(protocol.query_boxes),
            protocol.query_hard.astype(int),
            protocol.query_ids,
            strict=True,
        )
    ]
    truths = [
        scenes[scene] + box + _FLAGS[hard]
        for scene, box, hard in zip(
            protocol.truth_scenes,
            _box_matrices(protocol.truth_boxes),
            protocol.truth_hard.astype(int),
            strict=True,
        )
    ]

    distractor_sizes = np.array([*map(len, distractors), 0], dtype=np.int64)  # the last is for -1
    gallery_sizes = np.array([distractor_sizes[gallery].sum() for gallery in protocol.galleries], np.int64)
    longer = np.array([*map(len, truths)], np.int64) - distractor_sizes[protocol.truth_scenes]
    np.add.at(gallery_sizes, protocol.query_of_truth, longer)
    heads = [
        struct_head(_SCENE_FIELDS, int(length), int(size))
        for length, size in zip(lengths, gallery_sizes, strict=True)
    ]
    tail = number_matrix((1,)) if name == "Occlusion" else b""

    total = sum(map(len, queries)) + sum(map(len, heads)) + int(gallery_sizes.sum()) + len(tail) * len(heads)
    yield struct_head(fields, protocol.num_queries, total, name=protocol_key(name) or name)
    for row, (query, head) in enumerate(zip(queries, heads, strict=True)):
        entries = [distractors[scene] for scene in protocol.galleries[row, : lengths[row]].tolist()]
        for truth in range(protocol.truth_offsets[row], protocol.truth_offsets[row + 1]):
            entries[protocol.truth_positions[truth]] = truths[truth]
        yield b"".join((query, head, *entries, tail))


def _image_elements(table: SceneTable) -> list[bytes]:
    persons = [
        box + _FLAGS[hard]
        for box, hard in zip(_box_matrices(table.boxes), table.is_hard.astype(int), strict=True)
    ]
    return [
        char_matrix(str(name))
        + number_matrix((last - first,))
        + struct_matrix(_BOX_FIELDS, persons[first:last])
        for name, first, last in zip(
            table.names, table.offsets[:-1].tolist(), table.offsets[1:].tolist(), strict=True
        )
    ]


def _person_elements(table: SceneTable, ids: NDArray[np.str_]) -> list[bytes]:
    """Returns for each identity its name, number of appearances, and the scenes with its boxes."""
    rows = np.flatnonzero(table.is_labeled)
    rows = rows[np.argsort(table.pids[rows], kind="stable")]
    scenes = table.names[table.scene_of_person[rows]]
    appearances = [
        char_matrix(str(scene)) + box + _FLAGS[hard]
        for scene, box, hard in zip(
            scenes, _box_matrices(table.boxes[rows]), table.is_hard[rows].astype(int), strict=True
        )
    ]
    ends = np.searchsorted(table.pids[rows], np.arange(len(ids) + 1), side="right").tolist()
    return [
        char_matrix(str(identity))
        + number_matrix((last - first,))
        + struct_matrix(_SCENE_FIELDS, appearances[first:last])
        for identity, first, last in zip(ids, ends[:-1], ends[1:], strict=True)
    ]


def _box_matrices(boxes: NDArray[np.float32]) -> list[bytes]:
    """Returns the (1, 4) matrix x, y, width, height of each xyxy box."""
    return [number_matrix(box) for box in xyxy_to_xywh(boxes).tolist()]


def _check_tables(
    train: SceneTable,
    test: SceneTable,
    train_ids: NDArray[np.str_],
    test_ids: NDArray[np.str_],
    protocols: Mapping[str, SearchProtocol],
) -> None:
    for table, ids, what in ((train, train_ids, "train"), (test, test_ids, "test")):
        highest = int(table.pids.max(initial=BACKGROUND_PID))
        if highest > len(ids):
            raise AnnotationError(
                f"{what}_ids", expected=f"{highest} ids, one per pid", found=f"{len(ids)} ids"
            )
    both = np.intersect1d(train.names, test.names)
    if len(both):
        raise AnnotationError(
            f"scene '{both[0]}'", expected="a scene of the training or of the test set", found="it is in both"
        )
    for name, protocol in protocols.items():
        outside = np.setdiff1d(protocol.image_names, test.names)
        if len(outside):
            raise AnnotationError(
                f"protocol {name}", expected="scenes of the test set", found=f"'{outside[0]}', which is not"
            )
