"""docs/detections.md as printed: its snippets turn the files of other code bases into detections."""

from __future__ import annotations

import json
import pickle
import re
from collections import namedtuple
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from command_line import invoke
from numpy.typing import NDArray

from maskps.datasets import open_dataset
from maskps.datasets.coco.writer import write_coco
from maskps.datasets.protocols import open_protocol
from maskps.evaluation import Detections, evaluate_search, read_detections, write_detections
from maskps.structures import PersonSearchDataset
from maskps_cli.main import main

PAGE = (Path(__file__).resolve().parents[2] / "docs/detections.md").read_text(encoding="utf-8")

FoundInImage = namedtuple("FoundInImage", ["boxes", "scores", "embeddings", "labels"])
Query = namedtuple("Query", ["image_id", "person_id", "embedding", "box", "idx"])


def snippet(heading: str) -> str:
    section = PAGE.split(f"## {heading}\n")[1].split("\n## ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    return str(code)


def run_printed(code: str) -> dict[str, Any]:
    names: dict[str, Any] = {}
    exec(compile(code, "docs/detections.md", "exec"), names)
    return names


@pytest.fixture
def dataset(few_scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PersonSearchDataset:
    """A data set in the working directory, under the name that the page uses."""
    monkeypatch.chdir(tmp_path)
    Path("CUHK-SYSU").symlink_to(few_scenes)
    return open_dataset(Path("CUHK-SYSU"))


@pytest.fixture
def found(dataset: PersonSearchDataset) -> Detections:
    """Noisy detections; one image is without any, and embeddings have odd lengths."""
    rng = np.random.default_rng(3)
    test, protocol = dataset.test, open_protocol(dataset, "TestG4")
    kept = np.flatnonzero(test.scene_of_person != first_image_without_query(dataset))
    counts = np.bincount(test.scene_of_person[kept], minlength=len(test))
    of_person = rng.normal(size=(len(dataset.test_ids) + 2, 6))
    vectors = of_person[test.pids[kept]] + 0.8 * rng.normal(size=(len(kept), 6))
    names = dataset.test_ids.tolist()
    queries = of_person[[names.index(one) + 1 for one in protocol.query_ids.tolist()]]
    return Detections(
        image_names=test.names,
        offsets=np.cumsum([0, *counts]),
        boxes=test.boxes[kept] + rng.uniform(-1, 1, size=(len(kept), 4)).astype(np.float32),
        scores=rng.uniform(0.3, 1, size=len(kept)).astype(np.float32),
        embeddings=vectors.astype(np.float32),
        query_embeddings=queries.astype(np.float32),
        query_names=protocol.image_names[protocol.query_scenes],
        query_boxes=protocol.query_boxes,
    )


def first_image_without_query(dataset: PersonSearchDataset) -> int:
    protocol = open_protocol(dataset, "TestG4")
    asked = protocol.image_names[protocol.query_scenes]
    return int(np.flatnonzero(~np.isin(dataset.test.names, asked))[0])


def per_image(found: Detections, *columns: NDArray) -> Iterator[NDArray]:
    """Yields the columns of each image beside each other."""
    table = np.concatenate([column.reshape(len(found), -1) for column in columns], axis=1)
    yield from np.split(table, found.offsets[1:-1])


def check_written(dataset: PersonSearchDataset, expected: Detections) -> None:
    """The file holds these detections, and every protocol of the set can be scored with it."""
    written = read_detections(Path("detections.npz"))
    order = [written.image_names.tolist().index(name) for name in expected.image_names.tolist()]
    assert sorted(order) == list(range(len(order)))
    for name in ("boxes", "scores", "embeddings"):
        ours, theirs = getattr(written, name), getattr(expected, name)
        parts = np.split(ours, written.offsets[1:-1])
        assert np.allclose(np.concatenate([parts[row] for row in order]), theirs, atol=1e-4), name
    assert len(expected) == len(written)
    for name in ("TestG6", "Occlusion"):
        protocol = open_protocol(dataset, name)
        numbers = [evaluate_search(protocol, one).to_dict(per_query=True) for one in (written, expected)]
        assert numbers[0] == numbers[1] and numbers[0]["mAP"] > 0


def test_seqnet(dataset: PersonSearchDataset, found: Detections) -> None:
    weighted = replace(found, embeddings=found.embeddings * found.scores[:, None])
    cache = {
        "gallery_dets": list(per_image(weighted, weighted.boxes, weighted.scores)),
        "gallery_feats": list(per_image(weighted, weighted.embeddings)),
        "query_dets": [],
        "query_feats": [],
        "query_box_feats": [one[None] for one in weighted.query_embeddings],
    }
    Path("data/eval_cache").mkdir(parents=True)
    torch.save(cache, "data/eval_cache/eval_cache.pth")
    run_printed(snippet("SeqNet"))
    check_written(dataset, weighted)


def annotation_of(dataset: PersonSearchDataset, first: int = 0) -> dict[str, Any]:
    """The JSON of AlignPS: images of another machine, in an order of their own."""
    order = np.random.default_rng(0).permutation(len(dataset.test))
    return {
        "images": [
            {"id": first + number, "file_name": f"/raid/cuhk/Image/SSM/{dataset.test.names[row]}"}
            for number, row in enumerate(order.tolist())
        ]
    }


def unit(vectors: NDArray) -> NDArray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def with_detected_queries(dataset: PersonSearchDataset, found: Detections) -> Detections:
    """Unit vectors, the queries' those of the detections on them."""
    assert found.query_names is not None and found.query_boxes is not None
    rows = []
    for name, box in zip(found.query_names.tolist(), found.query_boxes, strict=True):
        image = found.image_names.tolist().index(name)
        span = range(found.offsets[image], found.offsets[image + 1])
        rows.append(min(span, key=lambda row: float(np.abs(found.boxes[row] - box).sum())))
    vectors = unit(found.embeddings)
    return replace(found, embeddings=vectors, query_embeddings=vectors[rows])


@pytest.mark.parametrize("has_two_heads", [False, True], ids=["AlignPS and PSTR", "ROI-AlignPS"])
def test_alignps_and_pstr(dataset: PersonSearchDataset, found: Detections, has_two_heads: bool) -> None:
    annotation = annotation_of(dataset)
    Path("test_new.json").write_text(json.dumps(annotation))
    arrays = dict(
        zip(
            dataset.test.names.tolist(),
            per_image(found, found.boxes, found.scores, found.embeddings),
            strict=True,
        )
    )
    listed = [arrays[Path(image["file_name"]).name].astype(np.float32) for image in annotation["images"]]
    # PSTR's empty arrays have 261 columns, whatever the others have.
    listed = [one if len(one) else np.zeros((0, 261), np.float32) for one in listed]
    results: Any = [[one] for one in listed]
    code = snippet("AlignPS and PSTR")
    expected = with_detected_queries(dataset, found)
    if has_two_heads:
        listed = [one[:, :11] for one in listed]
        results = ([[one] for one in listed], [np.hstack([one[:, :5], one[:, :4:-1]]) for one in listed])
        (line,) = re.findall(r"\n    (results = \[\n.*?\n    \])\n", PAGE, re.DOTALL)
        read = "results = pickle.loads(RESULTS.read_bytes())\n"
        code = code.replace(read, read + line.replace("\n    ", "\n") + "\n")
        both = np.hstack([unit(found.embeddings), unit(found.embeddings[:, ::-1])])
        expected = with_detected_queries(dataset, replace(found, embeddings=both, query_embeddings=both[:3]))
    Path("work_dirs").mkdir()
    Path("work_dirs/results_1000.pkl").write_bytes(pickle.dumps(results, protocol=2))
    run_printed(code)
    check_written(dataset, expected)


def test_a_query_in_whose_image_nothing_was_found_counts_as_failed(
    dataset: PersonSearchDataset, found: Detections
) -> None:
    annotation, protocol = annotation_of(dataset), open_protocol(dataset, "TestG6")
    Path("test_new.json").write_text(json.dumps(annotation))
    hidden = str(protocol.image_names[protocol.query_scenes[0]])
    arrays = dict(
        zip(
            dataset.test.names.tolist(),
            per_image(found, found.boxes, found.scores, found.embeddings),
            strict=True,
        )
    )
    names = [Path(image["file_name"]).name for image in annotation["images"]]
    results = [[arrays[name][: None if name != hidden else 0]] for name in names]
    Path("work_dirs").mkdir()
    Path("work_dirs/results_1000.pkl").write_bytes(pickle.dumps(results))
    run_printed(snippet("AlignPS and PSTR"))
    written = read_detections(Path("detections.npz"))
    assert not written.query_embeddings[0].any() and written.query_embeddings[1:].any(axis=1).all()
    result = evaluate_search(protocol, written)
    assert result.queries == protocol.num_queries


def test_gfn(dataset: PersonSearchDataset, found: Detections) -> None:
    protocol = open_protocol(dataset, "TestG4")
    sizes = [(1920, 1080) if row % 2 else (600, 800) for row in range(len(dataset.test))]
    scales = [min(900 / min(size), 1500 / max(size)) for size in sizes]
    assert scales == [1500 / 1920, 1.5] * (len(scales) // 2) or scales[:2] == [1.5, 1500 / 1920]
    images = [
        {"id": 100 + row, "file_name": str(name), "width": size[0], "height": size[1]}
        for row, (name, size) in enumerate(zip(dataset.test.names, sizes, strict=True))
    ]
    ids = {image["file_name"]: image["id"] for image in images}
    persons, queries = [], {}
    for row in range(protocol.num_queries):
        x0, y0, x1, y1 = protocol.query_boxes[row].tolist()
        name = str(protocol.image_names[protocol.query_scenes[row]])
        persons.append({"id": 7 * row, "image_id": ids[name], "bbox": [x0, y0, x1 - x0, y1 - y0]})
        embedding = torch.tensor(found.query_embeddings[row : row + 1])
        queries[7 * row] = Query(ids[name], "p", embedding, None, row)
    Path("cuhk/coco").mkdir(parents=True)
    Path("cuhk/coco/test.json").write_text(json.dumps({"images": images, "annotations": persons}))
    detections = {
        image["id"]: FoundInImage(
            torch.tensor(one[:, :4] * scale), torch.tensor(one[:, 4]), torch.tensor(one[:, 5:]), None
        )
        for image, one, scale in zip(
            images, per_image(found, found.boxes, found.scores, found.embeddings), scales, strict=True
        )
    }
    backwards = dict(reversed(queries.items()))
    save = run_printed(snippet("GFN"))["save_detections"]
    save(backwards, dict(reversed(detections.items())), "cuhk/coco/test.json", "detections.npz")
    check_written(dataset, found)


def test_coco_results(dataset: PersonSearchDataset, found: Detections) -> None:
    write_coco(Path("mine"), dataset, {name: open_protocol(dataset, name) for name in ("TestG4", "TestG6")})
    ids = {
        image["file_name"]: image["id"] for image in json.loads(Path("mine/test.json").read_text())["images"]
    }
    image_of = np.repeat(dataset.test.names, np.diff(found.offsets)).tolist()
    results: list[dict[str, Any]] = []
    for name, (x0, y0, x1, y1), score in zip(
        image_of, found.boxes.tolist(), found.scores.tolist(), strict=True
    ):
        box = [x0, y0, x1 - x0, y1 - y0]
        results.append({"image_id": ids[name], "category_id": 1, "bbox": box, "score": score})
    car = {"image_id": results[0]["image_id"], "category_id": 3, "bbox": [1, 1, 5, 5], "score": 1}
    Path("results.json").write_text(json.dumps([car, *reversed(results)]))
    np.save("embeddings.npy", np.concatenate([found.embeddings[:1], found.embeddings[::-1]]))
    np.save("queries.npy", found.query_embeddings)
    run_printed(snippet("COCO results"))
    written = read_detections(Path("detections.npz"))
    backwards = [slice(stop - 1, start - 1 if start else None, -1) for start, stop in spans(found)]
    columns = {
        name: np.concatenate([getattr(found, name)[part] for part in backwards])
        for name in ("boxes", "scores", "embeddings")
    }
    assert len(written) == len(found)
    check_written(dataset, replace(found, **columns))


def spans(found: Detections) -> list[tuple[int, int]]:
    offsets = found.offsets.tolist()
    return [(start, stop) for start, stop in pairwise(offsets) if stop > start]


def write_eval_cache(path: Path) -> None:
    torch.save({"gallery_dets": [np.zeros((2, 5))], "gallery_feats": [np.zeros((2, 4))]}, path)


def write_old_eval_cache(path: Path) -> None:
    cache = {"gallery_dets": [np.zeros((2, 5))], "gallery_feats": [np.zeros((2, 4))]}
    torch.save(cache, path, _use_new_zipfile_serialization=False)


def write_weights(path: Path) -> None:
    torch.save({"model": {"weight": torch.zeros(3)}}, path)


def write_pickle(content: Any, protocol: int) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(pickle.dumps(content, protocol=protocol))  # type: ignore[return-value]


def write_array(path: Path) -> None:
    with path.open("wb") as stream:
        np.save(stream, np.zeros(3))


def write_text(text: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(text)  # type: ignore[return-value]


class Trap:
    """Unpickling it leaves a file behind."""

    def __reduce__(self) -> Any:
        return Path.touch, (Path("unpickled"),)


LISTED = [[np.ones((2, 9), np.float32)], [np.zeros((0, 9), np.float32)]]
VALUES = {"test_G100_det_top1_list": [1, 0]}
OTHER_FILES: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "SeqNet": (write_eval_cache, "eval_cache.pth of SeqNet", '"SeqNet"'),
    "SeqNet, torch 1.5": (write_old_eval_cache, "eval_cache.pth of SeqNet", '"SeqNet"'),
    "weights": (write_weights, "torch.save", "docs/detections.md"),
    **{
        f"AlignPS, pickle {number}": (write_pickle(LISTED, number), "AlignPS and PSTR", '"AlignPS and PSTR"')
        for number in (2, 3, 4, 5)
    },
    "ROI-AlignPS": (write_pickle([LISTED, [one[0] for one in LISTED]], 2), "AlignPS", '"AlignPS and PSTR"'),
    "GFN": (write_pickle(VALUES, 4), "values.pkl of GFN", '"GFN"'),
    "GFN, pickle 0": (write_pickle(VALUES, 0), "values.pkl of GFN", '"GFN"'),
    "trap": (write_pickle([Trap()], 4), "a pickled file", "docs/detections.md"),
    "COCO": (
        write_text('[{"image_id": 1, "category_id": 1, "bbox": [1, 2, 3, 4], "score": 0.5}]'),
        "COCO results",
        '"COCO results"',
    ),
    "SeqNet, failed queries": (
        write_text('{"image_root": "x", "results": [{"query_img": "s1.jpg"}]}'),
        "results.json of SeqNet",
        "eval_cache.pth",
    ),
    "results": (
        write_text('{"format": "maskps-results", "version": 1}'),
        "results of maskps",
        "maskps report",
    ),
    "JSON": (write_text('\ufeff {"images": []}'), "a JSON file", "docs/detections.md"),
    "array": (write_array, "one array", "docs/detections.md"),
    "MATLAB": (write_text("MATLAB 5.0 MAT-file"), "a MATLAB file", "docs/detections.md"),
    "LFS": (write_text("version https://git-lfs.github.com/spec/v1\n"), "Git-LFS", "git lfs pull"),
    "page": (write_text("<!DOCTYPE html><html>"), "a web page", "login"),
    "nothing": (write_text(""), "an empty file", "copy"),
}


@pytest.mark.parametrize("case", OTHER_FILES)
@pytest.mark.parametrize("name", ["detections.npz", "results.bin"])
def test_files_of_other_code_bases_are_recognised_and_never_unpickled(
    case: str, name: str, dataset: PersonSearchDataset
) -> None:
    write, found, hint = OTHER_FILES[case]
    write(Path(name))
    result = invoke(main, "score", "--protocol", "CUHK-SYSU", "--gallery-size", "4", "--detections", name)
    assert result.exit_code == 1 and result.stdout == ""
    said_found, said_hint = result.stderr.split("found:")[1].split("try:")
    assert found in said_found and hint in said_hint
    assert not Path("unpickled").exists()


def test_detections_of_any_name_are_read(dataset: PersonSearchDataset, found: Detections) -> None:
    write_detections(Path("found.bin"), found)
    asked = ("--protocol", "CUHK-SYSU", "--gallery-size", "4", "--detections", "found.bin")
    assert invoke(main, "score", *asked).exit_code == 0
