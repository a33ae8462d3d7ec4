"""The data sets, subsets and detections that `fuzz_all.py` damages, and how a file is damaged by its kind.

A mutation changes one file of a small data set that is whole: bytes anywhere; in .mat and .npz files also
the unpacked content, packed again, so that the damage gets past the checksums; in JSON files also values,
keys and lists, so that it gets past the parser; in TOML files also values.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from maskps.datasets import read_cuhk_sysu
from maskps.datasets.coco.reader import coco_protocol_names, read_coco, read_coco_protocol
from maskps.datasets.coco.writer import write_coco
from maskps.datasets.protocols import open_protocol, protocol_names
from maskps.datasets.prw.reader import read_prw, read_prw_protocol
from maskps.datasets.prw.writer import write_prw
from maskps.evaluation import Detections, read_detections, write_detections
from maskps.masks import outline_from_polygons
from maskps.protocols import SearchProtocol, read_protocol, whole_test_protocol
from maskps.structures import PersonSearchDataset, SceneTable
from maskps.subset import build_subset, open_subset, read_targets, select_subset
from maskps.subset.names import read_name_list, select_named
from maskps.subset.nested import with_proportions
from maskps.synthetic import SplitScale, SynthScale, write_synthetic

SCALE = SynthScale(
    400,
    (0.2, 0.42),
    SplitScale(7, 1, 3, 8, 8, 2, (2, 3)),
    SplitScale(6, 0, 3, 7, 5, 2, (2, 3)),
    galleries=(4,),
    occluded=1,
    low_resolution=1,
    subset_gallery=4,
)

NUMBERS = (0, 1, 2, 3, 4, 7, 8, 14, 15, 127, 128, 255, 256, 65535, 2**16, 2**31 - 1, 2**31, 2**32 - 1)
VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        -2,
        2,
        0.5,
        1e308,
        -1e308,
        1e-308,
        float("nan"),
        float("inf"),
        float("-inf"),
    ),
    *(
        2**31,
        2**53 + 1,
        2**63,
        -(2**63) - 1,
        10**40,
        "",
        "0",
        "1",
        "-1",
        "1.5",
        "x",
        "\0",
        "\ud800",
        "é\u202e",
    ),
    *("../../etc/passwd", "a/b.jpg", "n" * 5000, [], [[]], {}, [0, 0, 0, 0], [1, 2, 3], ["1", "2", "3", "4"]),
    *([0.5, 0.5, -1, 5], [1e308, 1e308, 1e308, 1e308], {"a": 1}, [None] * 4, "PRESENT", "MISSING"),
)

TOML_VALUES = (
    *("0", "-1", "1", "2.5", "1e999", "-1e-300", "nan", "inf", "-inf", "true", '""', '"x"', '"\\u0000"'),
    *("9223372036854775808", "9" * 5000, "[]", "[[]]", "[1, 2]", '["a"]', "{}", "{a = 1}", "1979-05-27"),
    *("0x10", "07", "'", '"""', "[" * 900, '"../../etc/passwd"', f'"{"n" * 5000}"', "1_000", "+0", "-0.0"),
)


@dataclass(frozen=True)
class Target:
    """A reader, and files that it reads without complaint.

    Attributes:
        folder: holds the files.
        files: those that are damaged, below the folder.
        read: gets the damaged file; reads it, or the data set that it belongs to, and checks what must be
            true of the result. May return a text, the outcome.
    """

    name: str
    folder: Path
    files: tuple[str, ...]
    read: Callable[[Path], object]
    damage: Callable[[np.random.Generator, str, bytes], bytes]


# The files.


def make_targets(folder: Path) -> list[Target]:
    """Writes a small data set in every format that we read, and returns the readers."""
    cuhk = folder / "cuhk"
    write_synthetic(cuhk, scale=SCALE, seed=5, images=False)
    dataset = read_cuhk_sysu(cuhk)
    protocols = {name: open_protocol(dataset, name) for name in protocol_names(dataset)}
    write_coco(folder / "coco", dataset, protocols)
    _other_coco(folder / "other_coco", dataset)
    numbered, queries = _prw_of(dataset, protocols["TestG4"])
    write_prw(folder / "prw", numbered, queries)

    outlines = {
        row: _outline(dataset.train, row) for row in np.flatnonzero(dataset.train.is_labeled).tolist()
    }

    def drawn(kept: np.ndarray[Any, Any]) -> dict[int, Any]:
        rows = np.flatnonzero(np.isin(dataset.train.scene_of_person, kept) & dataset.train.is_labeled)
        return {row: outlines[row] for row in rows.tolist()}

    selection = with_proportions(dataset.train, select_subset(dataset.train, portion_size=2), "20%,full")
    build_subset(dataset, folder / "subset", selection, outlines=drawn)
    names = dataset.train.names.tolist()
    (folder / "names").mkdir()
    (folder / "names" / "list.txt").write_text("# images\n" + "\n".join(names[:3]) + "\n\ns1 # one\r\n")
    (folder / "detections").mkdir()
    write_detections(folder / "detections" / "detections.npz", _detections(dataset, protocols["TestG4"]))
    annotation = sorted(path.relative_to(cuhk).as_posix() for path in cuhk.rglob("*.mat"))
    prw = sorted(path.relative_to(folder / "prw").as_posix() for path in (folder / "prw").rglob("*.*"))
    return [
        _target("cuhk-sysu", cuhk, [name for name in annotation if "Person" not in name], _read_cuhk),
        _target("prw", folder / "prw", [name for name in prw if "ID_" not in name], _read_prw),
        _target("coco", folder / "coco", ["train.json", "test.json", "protocols.npz"], _read_coco),
        _target("coco of others", folder / "other_coco", ["train_pid.json", "test_pid.json"], _read_coco),
        _target(
            "mask subset",
            folder / "subset",
            ["subset.json", "masks.json", "targets_14x14.npz"],
            lambda place: (open_subset(place, dataset), read_targets(place / "targets_14x14.npz")),
        ),
        _target(
            "name list",
            folder / "names",
            ["list.txt"],
            lambda place: select_named(dataset, read_name_list(place / "list.txt")),
        ),
        _target(
            "detections",
            folder / "detections",
            ["detections.npz"],
            lambda place: read_detections(place / "detections.npz"),
        ),
    ]


def _target(name: str, folder: Path, files: Sequence[str], read: Callable[[Path], object]) -> Target:
    """Returns the target of a reader of folders."""
    return Target(name, folder, tuple(files), lambda path: read(folder), mutate)


def _other_coco(folder: Path, dataset: PersonSearchDataset) -> None:
    """Writes what other code bases write: no keys of ours, ids from 0, -2 for unlabeled."""
    folder.mkdir()
    for table, name in ((dataset.train, "train_pid.json"), (dataset.test, "test_pid.json")):
        images = [
            {"id": row, "file_name": image, "width": 400, "height": 400}
            for row, image in enumerate(table.names.tolist())
        ]
        boxes = table.boxes.astype(int)
        boxes[:, 2:] -= boxes[:, :2]
        annotations = [
            {
                "id": row,
                "image_id": scene,
                "bbox": box,
                "area": box[2] * box[3],
                "category_id": 1,
                "iscrowd": 0,
                "person_id": pid - 1 if pid > 0 else -2,
                "segmentation": [],
            }
            for row, (scene, box, pid) in enumerate(
                zip(table.scene_of_person.tolist(), boxes.tolist(), table.pids.tolist(), strict=True)
            )
        ]
        categories = [{"id": 1, "name": "person"}]
        content = {"categories": categories, "images": images, "annotations": annotations}
        (folder / name).write_text(json.dumps(content))


def _prw_of(
    dataset: PersonSearchDataset, protocol: SearchProtocol
) -> tuple[PersonSearchDataset, SearchProtocol]:
    """Returns the data set as PRW could have it: numbers for identities, nobody marked, no sizes."""

    def plain(table: SceneTable) -> SceneTable:
        return replace(table, is_hard=np.zeros(table.num_persons, bool), size=None, camera=None)

    ids = {
        name: np.array([str(10 + row) for row in range(len(getattr(dataset, name)))])
        for name in ("train_ids", "test_ids")
    }
    numbered = replace(dataset, kind="prw", train=plain(dataset.train), test=plain(dataset.test), **ids)
    rows = dataset.test.rows_of(protocol.image_names[protocol.query_scenes])
    query_ids = np.array(
        [str(10 + dataset.test_ids.tolist().index(one)) for one in protocol.query_ids.tolist()]
    )
    queries = whole_test_protocol(
        numbered.test,
        ids["test_ids"],
        query_scenes=rows,
        query_boxes=protocol.query_boxes,
        query_ids=query_ids,
    )
    return numbered, queries


def _outline(table: SceneTable, row: int) -> Any:
    """A person's outline with a hole."""
    x0, y0, x1, y1 = table.boxes[row].astype(float).tolist()
    ring = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
    inner = (ring - ring.mean(axis=0)) * 0.5 + ring.mean(axis=0)
    return outline_from_polygons([ring], holes=[inner], where=f"row {row}")


def _detections(dataset: PersonSearchDataset, protocol: SearchProtocol) -> Detections:
    """The true boxes as a network could have found them."""
    table = dataset.test
    return Detections(
        image_names=table.names,
        offsets=table.offsets,
        boxes=table.boxes,
        scores=np.ones(table.num_persons, np.float32),
        embeddings=np.ones((table.num_persons, 3), np.float32),
        query_embeddings=np.ones((protocol.num_queries, 3), np.float32),
    )


# What is read, and what must be true of it.


def _read_cuhk(root: Path) -> object:
    protocols = [
        read_protocol(path)
        for path in sorted((root / "annotation/test").rglob("*[0-9n].mat"))
        if "Train" not in path.name
    ]
    return _checked(read_cuhk_sysu(root)), protocols


def _read_prw(root: Path) -> object:
    dataset = _checked(read_prw(root))
    return dataset, read_prw_protocol(dataset)


def _read_coco(root: Path) -> object:
    dataset = _checked(read_coco(root))
    return dataset, [read_coco_protocol(dataset, name) for name in coco_protocol_names(root)]


def _checked(dataset: PersonSearchDataset) -> PersonSearchDataset:
    """Fails on a table that breaks a promise of the records beyond what they check themselves."""
    for table, ids in ((dataset.train, dataset.train_ids), (dataset.test, dataset.test_ids)):
        assert table.boxes.dtype == np.float32 and table.pids.dtype == np.int64
        assert (table.boxes[:, 2:] > table.boxes[:, :2]).all(), "a box without width or height"
        assert table.pids.max(initial=0) <= len(ids), "a pid without an identity"
        assert len(np.unique(ids)) == len(ids), "an identity twice"
    return dataset


# Mutations.


def mutate(rng: np.random.Generator, name: str, content: bytes) -> bytes:
    """Returns the content of a file, damaged."""
    kind = name.rsplit(".", 1)[-1]
    if rng.random() < 0.8:
        if kind == "mat":
            return _mutate_mat(rng, content)
        if kind == "npz":
            return _mutate_npz(rng, content)
        if kind == "json":
            return _mutate_json(rng, content)
        if kind == "toml":
            return _mutate_toml(rng, content)
        if kind == "png":
            return _mutate_png(rng, content)
    return _mutate_bytes(rng, content)


def _mutate_bytes(rng: np.random.Generator, content: bytes) -> bytes:
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        if not data:
            break
        place = int(rng.integers(0, len(data)))
        length = int(rng.integers(1, 64))
        choice = int(rng.integers(0, 9))
        if choice == 0:
            data[place] ^= 1 << int(rng.integers(0, 8))
        elif choice == 1:
            data[place] = int(rng.integers(0, 256))
        elif choice == 2:
            data[place : place + 4] = struct.pack("<I", NUMBERS[int(rng.integers(0, len(NUMBERS)))])
        elif choice == 3:
            word = place // 8 * 8
            data[word : word + 4] = struct.pack("<I", NUMBERS[int(rng.integers(0, len(NUMBERS)))])
        elif choice == 4:
            del data[place : place + length]
        elif choice == 5:
            data[place:place] = data[place : place + length]
        elif choice == 6:
            data[place:place] = rng.bytes(length)
        elif choice == 7:
            other = int(rng.integers(0, len(data)))
            data[place : place + length] = data[other : other + length]
        elif rng.random() < 0.3:
            del data[place:]
    return bytes(data)


def _mutate_mat(rng: np.random.Generator, content: bytes) -> bytes:
    """Damages a variable; packs it again as it was, or leaves it unpacked."""
    unpacked = bytearray(_mutate_bytes(rng, zlib.decompress(content[136:])))
    if rng.random() < 0.5:  # a size that fits gets further
        unpacked[4:8] = struct.pack("<I", max(len(unpacked) - 8, 0))
    if rng.random() < 0.3:
        return content[:128] + bytes(unpacked)
    packed = zlib.compress(bytes(unpacked), 1)
    return content[:128] + struct.pack("<II", 15, len(packed)) + packed


def _mutate_npz(rng: np.random.Generator, content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    names = list(members)
    name = names[int(rng.integers(0, len(names)))]
    choice = rng.random()
    if choice < 0.1:
        del members[name]
    elif choice < 0.2:
        members[name] = members[names[int(rng.integers(0, len(names)))]]
    elif choice < 0.5:  # the header
        members[name] = _mutate_bytes(rng, members[name][:128]) + members[name][128:]
    else:
        members[name] = members[name][:128] + _mutate_bytes(rng, members[name][128:] or b"\0")
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for member, data in members.items():
            archive.writestr(member, data)
    return stream.getvalue()


def _mutate_json(rng: np.random.Generator, content: bytes) -> bytes:
    tree = {"": json.loads(content)}
    for _ in range(int(rng.integers(1, 3))):
        nodes = list(_nodes(tree))
        node, key = nodes[int(rng.integers(0, len(nodes)))]
        choice = rng.random()
        if choice < 0.6:
            node[key] = deepcopy(VALUES[int(rng.integers(0, len(VALUES)))])
        elif choice < 0.7 and node is not tree:
            del node[key]
        elif choice < 0.8:
            other, place = nodes[int(rng.integers(0, len(nodes)))]
            node[key] = json.loads(json.dumps(other[place]))
        elif choice < 0.9 and isinstance(node, list):
            node.insert(key, json.loads(json.dumps(node[key])))
        elif choice < 0.95:
            node[key] = [node[key]]
        elif isinstance(node[key], (int, float)) and node[key] is not None:
            node[key] = str(node[key])
        else:
            return content.replace(b"[", b"[" * 50_000, 1)
    return json.dumps(tree[""]).encode("utf-8")


def _mutate_toml(rng: np.random.Generator, content: bytes) -> bytes:
    """Gives a key another value, or another name, or has it twice."""
    lines = content.decode().splitlines()
    row = int(rng.integers(0, len(lines)))
    key, _, value = lines[row].partition(" = ")
    choice = rng.random()
    if choice < 0.7:
        lines[row] = f"{key} = {TOML_VALUES[int(rng.integers(0, len(TOML_VALUES)))]}"
    elif choice < 0.8:
        lines[row] = f"{key}x = {value}"
    else:
        lines.append(lines[int(rng.integers(0, len(lines)))])
    return "\n".join(lines).encode()


def _mutate_png(rng: np.random.Generator, content: bytes) -> bytes:
    """Damages one chunk, and gives it the checksum and the length that fit."""
    chunks, place = [], 8
    while place < len(content):
        (length,) = struct.unpack(">I", content[place : place + 4])
        chunks.append((content[place + 4 : place + 8], content[place + 8 : place + 8 + length]))
        place += 12 + length
    row = int(rng.integers(0, len(chunks)))
    chunks[row] = chunks[row][0], _mutate_bytes(rng, chunks[row][1])
    if rng.random() < 0.2:
        chunks.insert(row, chunks[int(rng.integers(0, len(chunks)))])
    packed = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    ]
    return content[:8] + b"".join(packed)


def _nodes(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yields every value of a JSON tree as its parent and its key there."""
    keys = range(len(tree)) if isinstance(tree, list) else list(tree) if isinstance(tree, dict) else ()
    for key in keys:
        yield tree, key
        yield from _nodes(tree[key])
