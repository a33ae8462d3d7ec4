"""The LabelMe files that `fuzz_all.py` damages, and all that reads them.

Every file goes through the codec and back (`read_labelme`, `write_labelme`), through `annotate check` as a
file of a pack, and through `build-subset --labelme`.

The whole files hold all shape types, holes, groups, a mask, and the notations of LabelMe 3 to 7 and
X-AnyLabeling. Damage: bytes flipped, cut and moved; values of other kinds, huge and tiny numbers, NaN, keys
that are missing, odd or there twice, half surrogates, deep nesting; points left out, doubled, moved.
"""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable, Iterable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from maskps.findings import Finding
from maskps.masks import read_labelme, write_labelme
from maskps.structures import SceneTable
from maskps_annotation.checks import checked_file
from maskps_annotation.from_labelme import outlines_from_labelme
from maskps_annotation.pack_record import PackedScene, Slot

SIZE = (120, 90)
BOXES = ((10.0, 10.0, 40.0, 80.0), (60.0, 5.0, 100.0, 85.0))
SCENE = PackedScene(
    "s1.jpg",
    "s1.jpg",
    "a" * 64,
    SIZE,
    tuple(Slot(f"p{i + 1}", i, f"p{i + 1}", box) for i, box in enumerate(BOXES)),
)
TABLE = SceneTable(
    names=np.array(["s1.jpg"]),
    offsets=np.array([0, 2]),
    boxes=np.array(BOXES, dtype=np.float32),
    pids=np.array([1, 2]),
    is_hard=np.zeros(2, dtype=np.bool_),
)
IDS = np.array(["p1", "p2"])

VALUES: tuple[Any, ...] = (
    *(
        None,
        True,
        False,
        0,
        1,
        -1,
        2,
        0.5,
        -0.0,
        1e-300,
        1e6,
        1e9,
        1e308,
        float("nan"),
        float("inf"),
        -float("inf"),
    ),
    *(
        2**31,
        2**53 + 1,
        2**63,
        10**40,
        -(10**400),
        "",
        "0",
        "3",
        "1.5",
        "x",
        "\0",
        "é\u202e\x1b[31m",
        "n" * 5000,
    ),
    *("polygon", "rectangle", "oriented_rectangle", "circle", "line", "linestrip", "point", "points", "mask"),
    *("rotation", "quadrilateral", "cuboid", "p1", "p2", "../../etc/passwd", "C:\\a\\s1.jpg", "/etc/passwd"),
    *([], [[]], {}, [0, 0, 0, 0], [1, 2], [1, 2, 3], [[1, 2], [3, 4]], {"a": 1}, {"hole": True}, [None] * 4),
    *([10, 10, 30, 70], [1e308] * 4, ["10", "10", "30", "70"], {"hole": 1}, {"done": True}),
)


def whole_files() -> list[bytes]:
    """Returns files that are read without an error: new, of LabelMe 3, and of X-AnyLabeling."""
    ring = [[14.0, 12.0], [36.0, 12.5], [38.5, 60.0], [30.25, 78.0], [12.0, 70.0]]
    hole = [[20.0, 20.0], [25.0, 20.0], [25.0, 30.0], [20.0, 30.0]]
    bitmap = np.zeros((70, 30), dtype=np.uint8)
    bitmap[5:65, 4:26], bitmap[20:30, 10:15] = 1, 0
    stream = io.BytesIO()
    Image.fromarray(bitmap).save(stream, "PNG")
    mask = base64.b64encode(stream.getvalue()).decode()

    def shape(label: Any, points: Any, kind: str = "polygon", **more: Any) -> dict[str, Any]:
        plain = {"group_id": None, "description": "", "flags": {}, "mask": None}
        return {"label": label, "points": points, "shape_type": kind} | plain | more

    box = {"maskps_box": [60.0, 5.0, 40.0, 80.0]}
    slot = {"maskps_slot": {"name": "p1", "person": 0, "identity": "p1", "box": list(BOXES[0])}}
    new = [
        shape("p1", [[10, 10], [40, 80]], "rectangle", locked=True, **slot),
        shape("p1", ring, group_id=1),
        shape("p1", [[15.0, 70.0], [30.0, 70.0], [30.0, 79.0]], group_id=1, flags={"accessory": True}),
        shape("p1", hole, flags={"hole": True}),
        shape("p2", [[65, 10], [94, 79]], "mask", mask=mask, **box),
        shape("p2", [[70, 10], [90, 12], [88, 60], [68, 58]], "oriented_rectangle", **box),
        shape("x", [[5, 5], [9, 9]], "circle"),
    ]
    old = [{"label": 1, "points": ring, "line_color": None, "fill_color": [255, 0, 0, 128]}]
    dialect = [
        shape("p1", ring, score=None, difficult=False, attributes={}, kie_linking=[]),
        shape("p2", [[62, 6], [99, 6], [99, 84], [62, 84]], "rectangle", score=0.9, attributes={"a": "b"}),
        shape("p2", [[62, 6], [99, 8], [97, 84], [60, 82]], "rotation", direction=0.05, group_id="3"),
    ]
    heading = {"imagePath": "s1.jpg", "imageData": None, "imageHeight": SIZE[1], "imageWidth": SIZE[0]}
    record = {"maskps": {"scene": "s1.jpg", "sha256": "a" * 64, "fingerprint": "f"}}
    contents: list[dict[str, Any]] = [
        {"version": "6.3.1", "flags": {"done": True, "problem": False}, "shapes": new} | heading | record,
        {"version": "5.4.1", "flags": {}, "shapes": new} | heading,
        {"shapes": old, "lineColor": [0, 255, 0, 128], "fillColor": [255, 0, 0, 128], "flags": None}
        | {"imagePath": "..\\images\\s1.jpg", "imageData": "aGVsbG8="},
        {"version": "3.3.0", "flags": {}, "checked": False, "shapes": dialect, "description": ""} | heading,
    ]
    return [json.dumps(content, indent=2, ensure_ascii=False).encode("utf-8") for content in contents]


# Damage.


def damaged(rng: np.random.Generator, content: bytes) -> bytes:
    """Returns a file, damaged in its bytes, in its JSON, or in both."""
    choice = rng.random()
    if choice < 0.85:
        content = _damaged_tree(rng, content)
    if choice > 0.8:
        content = _damaged_bytes(rng, content)
    return content


def _damaged_bytes(rng: np.random.Generator, content: bytes) -> bytes:
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        place, length = int(rng.integers(0, len(data) + 1)), int(rng.integers(1, 40))
        choice = int(rng.integers(0, 8))
        if choice == 0 and place < len(data):
            data[place] ^= 1 << int(rng.integers(0, 8))
        elif choice == 1:
            data[place : place + 1] = rng.bytes(1)
        elif choice == 2:
            del data[place : place + length]
        elif choice == 3:
            data[place:place] = data[place : place + length]
        elif choice == 4:
            data[place:place] = rng.bytes(length)
        elif choice == 5:
            data[place:place] = b"\xef\xbb\xbf"
        elif choice == 6:
            data = bytearray(data.decode("utf-8", "replace").encode("utf-16")) if rng.random() < 0.1 else data
        elif rng.random() < 0.3:
            del data[place:]
    return bytes(data)


def _damaged_tree(rng: np.random.Generator, content: bytes) -> bytes:
    tree = {"": json.loads(content)}
    for _ in range(int(rng.integers(1, 4))):
        nodes = list(_nodes(tree))
        node, key = nodes[int(rng.integers(0, len(nodes)))]
        choice = int(rng.integers(0, 12))
        if choice < 4:
            node[key] = deepcopy(VALUES[int(rng.integers(0, len(VALUES)))])
        elif choice == 4 and node is not tree:
            del node[key]
        elif choice == 5:
            other, place = nodes[int(rng.integers(0, len(nodes)))]
            node[key] = json.loads(json.dumps(other[place]))
        elif choice == 6 and isinstance(node, list):
            node.insert(key, json.loads(json.dumps(node[key])))
        elif choice == 7 and isinstance(node[key], (int, float)):
            node[key] = _other_number(rng, node[key])
        elif choice == 8 and isinstance(node[key], str):
            node[key] = _other_text(rng, node[key])
        elif choice == 9 and isinstance(node, dict) and node is not tree:
            node[f"{key}{rng.integers(0, 3)}"] = node.pop(key)
        elif choice == 10 and isinstance(node[key], list):
            rng.shuffle(node[key])
        elif choice == 11:
            return _deep_or_doubled(rng, tree[""], node, key)
    return json.dumps(tree[""]).encode("utf-8")


def _other_number(rng: np.random.Generator, number: Any) -> Any:
    steps: tuple[Callable[[], Any], ...] = (
        lambda: -number,
        lambda: number + rng.normal(0, 30),
        lambda: number * 10.0 ** int(rng.integers(-8, 12)),
        lambda: str(number),
        lambda: [number],
        lambda: float(number),
    )
    try:
        return steps[int(rng.integers(0, len(steps)))]()
    except OverflowError:  # a whole number of hundreds of digits
        return str(number)


def _other_text(rng: np.random.Generator, text: str) -> str:
    place = int(rng.integers(0, len(text) + 1))
    odd = ("\ud800", "\udfff", "\0", "\n", "\u202e", "x", "=", "é", "💥", " ")
    return text[:place] + odd[int(rng.integers(0, len(odd)))] + text[place + int(rng.integers(0, 3)) :]


def _deep_or_doubled(rng: np.random.Generator, content: Any, node: Any, key: Any) -> bytes:
    """A value as deep as readers can just bear, or a bit deeper; or a key that is there twice."""
    mark = "\x02 here"
    kept = json.dumps(node[key])
    node[key] = mark
    text = json.dumps(content)
    depth = int(rng.integers(300, 1100))
    if rng.random() < 0.5:
        return text.replace(json.dumps(mark), "[" * depth + kept + "]" * depth).encode()
    if isinstance(key, str) and rng.random() < 0.7:
        other = json.dumps(VALUES[int(rng.integers(0, len(VALUES)))])
        return text.replace(json.dumps(mark), f"{other}, {json.dumps(key)}: {kept}").encode()
    return text.replace(json.dumps(mark), '{"a":' * depth + kept + "}" * depth).encode()


def _nodes(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Yields every value of a JSON tree as its parent and its key there."""
    keys = range(len(tree)) if isinstance(tree, list) else list(tree) if isinstance(tree, dict) else ()
    for key in keys:
        yield tree, key
        yield from _nodes(tree[key])


# Reading.


def _codec(path: Path) -> str:
    file = read_labelme(path)
    again = path.with_name("again.json")
    if file.width is None or file.height is None:
        return "read"
    write_labelme(again, file)
    second = read_labelme(again)
    assert len(second.shapes) == len(file.shapes), "shapes were lost"
    for one, other in zip(file.shapes, second.shapes, strict=True):
        assert (one.label, one.shape_type, one.group_id) == (other.label, other.shape_type, other.group_id)
        assert np.array_equal(one.points, other.points)
        assert set(other.extra) == set(one.extra), "keys were lost"
    return "read and written"


def _pack(path: Path) -> str:
    checked = checked_file(SCENE, path)
    _explained(checked.findings)
    for outline in checked.outlines.values():
        assert np.isfinite(outline.area) and outline.area > 0
    return "persons pass" if checked.outlines else "findings only"


def _subset(path: Path) -> str:
    outlines, findings = outlines_from_labelme(path.parent, TABLE, scene_rows=np.array([0]), ids=IDS)
    _explained(findings)
    for outline in outlines.values():
        assert np.isfinite(outline.area) and outline.area > 0
    return "outlines" if outlines else "findings only"


def _explained(findings: Iterable[Finding]) -> None:
    for finding in findings:
        str(finding).encode("utf-8")  # it can be printed
        assert finding.level != "error" or finding.hint or finding.code == "box-deleted", finding
        assert len(str(finding)) < 2000, "a finding of a page"


READERS: dict[str, Callable[[Path], str]] = {
    "codec": _codec,
    "annotate check": _pack,
    "build-subset": _subset,
}
