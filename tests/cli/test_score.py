"""`maskps score` as a user types it: any detections, a protocol file or a data set, and what may be wrong."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import Result
from command_line import invoke

from maskps.datasets import open_dataset
from maskps.datasets.coco.writer import write_coco
from maskps.datasets.protocols import open_protocol
from maskps.evaluation import METHODS, Detections, evaluate_search, write_detections
from maskps.evaluation.result_file import ResultData, read_results
from maskps.evaluation.task import ScoringOptions, SearchTask, score
from maskps.protocols import ProtocolName, SearchProtocol, read_protocol
from maskps.structures import PersonSearchDataset
from maskps_cli.main import main

run = partial(invoke, main, "score")


@pytest.fixture(scope="module")
def dataset(few_scenes: Path) -> PersonSearchDataset:
    return open_dataset(few_scenes)


@pytest.fixture(scope="module")
def g4(few_scenes: Path) -> Path:
    return few_scenes / "annotation/test/train_test/TestG4.mat"


@pytest.fixture(scope="module")
def found(dataset: PersonSearchDataset) -> Detections:
    """A perfect detector with noisy embeddings of the persons; the queries of TestG4, named."""
    test = dataset.test
    protocol = open_protocol(dataset, "TestG4")
    rng = np.random.default_rng(0)
    of_pid = rng.normal(size=(len(dataset.test_ids) + 1, 8))
    noise = rng.normal(size=(test.num_persons, 8))
    persons = np.where(test.is_labeled[:, None], of_pid[np.maximum(test.pids, 0)], 0) + noise
    pids = 1 + np.array([dataset.test_ids.tolist().index(name) for name in protocol.query_ids])
    return Detections(
        image_names=test.names,
        offsets=test.offsets,
        boxes=test.boxes,
        scores=np.ones(test.num_persons, np.float32),
        embeddings=persons.astype(np.float32),
        query_embeddings=(of_pid[pids] + 0.5 * rng.normal(size=(len(pids), 8))).astype(np.float32),
        query_names=protocol.image_names[protocol.query_scenes],
        query_boxes=protocol.query_boxes,
    ).normalized()


def mAP_of(result: Result) -> float:
    """The mAP of the only line that a command printed as JSON."""
    (line,) = json.loads(result.stdout)["results"]
    return float(line["mAP"])


@pytest.fixture
def write(tmp_path: Path, found: Detections) -> Callable[..., Path]:
    """Writes the detections with other columns, as another code base would: without those that are None."""

    def write_arrays(**changes: Any) -> Path:
        arrays = {field.name: getattr(found, field.name) for field in dataclasses.fields(found)} | changes
        path = tmp_path / "dets.npz"
        np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
        return path

    return write_arrays


def test_a_protocol_file_alone_gives_the_numbers_of_the_library(
    dataset: PersonSearchDataset, found: Detections, g4: Path, write: Callable[..., Path]
) -> None:
    result = run("--protocol", g4, "--detections", write(query_names=None, query_boxes=None), "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    expected = evaluate_search(open_protocol(dataset, "TestG4"), found).to_dict()
    assert 0 < expected["mAP"] < 1
    fingerprint = open_protocol(dataset, "TestG4").fingerprint()
    name = {"protocol": "TestG4", "cameras": "all", "fingerprint": fingerprint}
    assert content["results"] == [name | {"feature": "embedding", "method": "cosine"} | expected]
    assert content["detection"] == {}


def test_several_protocols_of_a_data_set_in_one_call(
    few_scenes: Path, dataset: PersonSearchDataset, found: Detections, write: Callable[..., Path]
) -> None:
    asked = ["--gallery-size", "4", "--gallery-size", "6", "--gallery-size", "all", "--subset", "occlusion"]
    result = run("--protocol", few_scenes, "--detections", write(), *asked, "--json", "--per-query")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    lines = {line["protocol"]: line for line in content["results"]}
    assert list(lines) == ["TestG4", "TestG6", "all", "Occlusion"]
    assert lines["all"]["gallery_size"] == len(dataset.test) - 1
    for name in ("TestG4", "TestG6", "Occlusion"):
        expected = evaluate_search(open_protocol(dataset, name), found).to_dict(per_query=True)
        assert {key: lines[name][key] for key in expected} == expected
    assert lines["Occlusion"]["queries"] == 1
    assert content["detection"]["all"]["recall"] == 1
    assert content["data"] == {
        "kind": "cuhk-sysu",
        "name": "synthetic data 'scenes'",
        "synthetic": True,
        "fingerprint": dataset.test.fingerprint(),
    }


def test_a_corrected_test_annotation_or_protocol_has_another_fingerprint(
    few_scenes: Path, dataset: PersonSearchDataset, write: Callable[..., Path], tmp_path: Path
) -> None:
    """The three sets have one training split, whose fingerprint once stood for all of them."""
    test, protocol = dataset.test, open_protocol(dataset, "TestG4")
    corrected = dataclasses.replace(test, boxes=test.boxes + np.float32(0.25))
    other_truth = dataclasses.replace(protocol, truth_boxes=protocol.truth_boxes + np.float32(0.25))
    sets = {
        "first": (test, protocol),
        "annotation": (corrected, protocol),
        "protocol": (test, other_truth),
    }
    fingerprints = {}
    for name, (scenes, used) in sets.items():
        root = tmp_path / name / "set"
        write_coco(root, dataclasses.replace(dataset, test=scenes), {"TestG4": used})
        content = json.loads(run("--protocol", root, "--detections", write(), "--json").stdout)
        fingerprints[name] = (content["data"]["fingerprint"], content["results"][0]["fingerprint"])
    assert fingerprints["first"][0] != fingerprints["annotation"][0]
    assert fingerprints["first"][1] == fingerprints["annotation"][1]
    assert fingerprints["first"][0] == fingerprints["protocol"][0]
    assert fingerprints["first"][1] != fingerprints["protocol"][1]


def test_the_table_names_protocols_causes_and_thresholds(
    few_scenes: Path, write: Callable[..., Path]
) -> None:
    result = run(
        "--protocol", few_scenes, "--detections", write(), "--gallery-size", "4", "--subset", "occlusion"
    )
    assert result.exit_code == 0, result.output
    for text in (
        "TestG4",
        "Occlusion",
        "top-10",
        "rules 'oim'",
        "score >= 0.5",
        "wrong person first",
        "recall",
    ):
        assert text in result.stdout


@pytest.mark.parametrize("flag", ["--cbgm", "--rerank"])
def test_an_extra_has_a_line_of_its_own(flag: str, few_scenes: Path, write: Callable[..., Path]) -> None:
    asked = ["--gallery-size", "6", "--subset", "resolution", flag, "--json"]
    content = json.loads(run("--protocol", few_scenes, "--detections", write(), *asked).stdout)
    plain = json.loads(run("--protocol", few_scenes, "--detections", write(), *asked[:-2], "--json").stdout)
    method = flag.removeprefix("--")
    assert [(line["protocol"], line["method"]) for line in content["results"]] == [
        ("TestG6", "cosine"),
        ("TestG6", method),
        ("Resolution", "cosine"),
        ("Resolution", method),
    ]
    assert content["results"][::2] == plain["results"]


@pytest.mark.parametrize("rules", ["oim", "seqnet", "paper"])
def test_rules_are_those_asked_for(
    rules: Any, dataset: PersonSearchDataset, found: Detections, g4: Path, write: Callable[..., Path]
) -> None:
    result = run("--protocol", g4, "--detections", write(), "--rules", rules, "--json")
    expected = evaluate_search(open_protocol(dataset, "TestG4"), found, rules=rules).to_dict()
    (line,) = json.loads(result.stdout)["results"]
    assert {key: line[key] for key in expected} == expected


@pytest.mark.parametrize(("options", "counts"), [([], False), (["--score-threshold", "0.3"], True)])
def test_the_score_threshold_is_the_one_asked_for_and_printed(
    options: list[str],
    counts: bool,
    few_scenes: Path,
    found: Detections,
    write: Callable[..., Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """All scores are 0.3 as float32 holds it, which reaches a threshold of 0.3."""
    path = write(scores=np.full(len(found), np.float32(0.3)))
    asked = ("--protocol", few_scenes, "--detections", path, "--gallery-size", "4", *options)
    content = json.loads(run(*asked, "--json").stdout)
    (line,) = content["results"]
    threshold = 0.3 if counts else 0.5
    assert (line["mAP"] > 0, line["score_threshold"]) == (counts, threshold)
    assert [one["score_threshold"] for one in content["detection"].values()] == [threshold] * 2
    assert content["detection"]["all"]["recall"] == counts
    assert f"score >= {threshold}" in run(*asked).stdout
    assert ("--score-threshold" in caplog.text) != counts


@pytest.mark.parametrize(("queries", "is_warned_of"), [(10, True), (11, False)])
def test_a_tenth_of_the_queries_below_the_threshold_is_warned_of(
    queries: int, is_warned_of: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """Each query's person is in one image, found with the score 1, that of the first with 0.3."""
    names = np.array([f"{number:02}.jpg" for number in range(queries + 1)])
    numbers = np.arange(queries, dtype=np.int32)
    boxes = np.tile(np.float32([[0, 0, 50, 100]]), (queries + 1, 1))
    protocol = SearchProtocol(
        image_names=names,
        query_scenes=np.full(queries, queries, dtype=np.int32),
        query_boxes=boxes[1:],
        query_ids=numbers.astype(np.str_),
        query_hard=np.zeros(queries, dtype=np.bool_),
        galleries=numbers[:, None],
        truth_offsets=np.arange(queries + 1),
        truth_positions=np.zeros(queries, dtype=np.int32),
        truth_boxes=boxes[1:],
        truth_hard=np.zeros(queries, dtype=np.bool_),
    )
    vectors = np.ones((queries + 1, 1), dtype=np.float32)
    scores = np.where(np.arange(queries + 1) == 0, 0.3, 1).astype(np.float32)
    found = Detections(names, np.arange(queries + 2), boxes, scores, vectors, vectors[1:])
    data = ResultData("protocol", "drawn", True, "f")
    score(SearchTask(data, None, {ProtocolName("all"): protocol}), found, ScoringOptions())
    assert (f"1 of {queries} queries" in caplog.text) == is_warned_of


@pytest.mark.parametrize("threshold", ["-0.1", "1.01", "nan", "inf", "half"])
def test_a_score_threshold_is_from_0_to_1(threshold: str, g4: Path, write: Callable[..., Path]) -> None:
    result = run("--protocol", g4, "--detections", write(), "--score-threshold", threshold)
    assert result.exit_code == 2 and "'--score-threshold'" in result.stderr


def test_a_result_file_holds_every_query_and_is_not_overwritten(
    g4: Path, write: Callable[..., Path], tmp_path: Path
) -> None:
    out = tmp_path / "result.json"
    first = run("--protocol", g4, "--detections", write(), "--out", out)
    assert first.exit_code == 0, first.output
    (line,) = read_results(out).results
    assert len(line.average_precisions) == line.queries == 3
    assert read_results(out).source.detections == write().name
    before = out.read_bytes()
    again = run("--protocol", g4, "--detections", write(), "--out", out, "--rules", "paper")
    assert again.exit_code == 1 and "--force" in again.stderr
    assert out.read_bytes() == before
    forced = run("--protocol", g4, "--detections", write(), "--out", out, "--rules", "paper", "--force")
    assert forced.exit_code == 0 and read_results(out).results[0].rules == "paper"


def test_force_does_not_replace_what_maskps_did_not_make(
    g4: Path, write: Callable[..., Path], tmp_path: Path
) -> None:
    (tmp_path / "notes.json").write_text("{}")
    result = run("--protocol", g4, "--detections", write(), "--out", tmp_path / "notes.json", "--force")
    assert result.exit_code == 1 and "another kind" in result.stderr
    assert (tmp_path / "notes.json").read_text() == "{}"


def test_embeddings_of_other_lengths_are_warned_of_and_normalized(
    found: Detections, g4: Path, write: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    lengths = np.random.default_rng(1).uniform(0.1, 9, size=(len(found), 1))
    path = write(embeddings=found.embeddings * lengths)
    as_given = run("--protocol", g4, "--detections", path, "--json")
    assert "--normalize" in caplog.text
    caplog.clear()
    normalized = run("--protocol", g4, "--detections", path, "--json", "--normalize")
    assert caplog.text == ""
    unit = run("--protocol", g4, "--detections", write(), "--json")
    mAPs = [mAP_of(result) for result in (as_given, normalized, unit)]
    assert mAPs[1] == pytest.approx(mAPs[2], abs=1e-12) and mAPs[0] != mAPs[2]


def test_distance_ranks_vectors_of_any_length_as_they_are(
    dataset: PersonSearchDataset,
    found: Detections,
    g4: Path,
    write: Callable[..., Path],
    caplog: pytest.LogCaptureFixture,
) -> None:
    stretch = np.random.default_rng(1).uniform(0.1, 9, size=(len(found), 1)).astype(np.float32)
    path = write(embeddings=found.embeddings * stretch)
    stretched = dataclasses.replace(found, embeddings=found.embeddings * stretch)
    result = run("--protocol", g4, "--detections", path, "--distance", "euclidean", "--json")
    (line,) = json.loads(result.stdout)["results"]
    expected = evaluate_search(open_protocol(dataset, "TestG4"), stretched, method=METHODS["euclidean"])
    assert (line["method"], line["mAP"]) == ("euclidean", expected.mAP)
    assert caplog.text == ""


@pytest.mark.parametrize("flag", ["--cbgm", "--rerank"])
def test_what_works_on_cosines_refuses_distances(flag: str, g4: Path, write: Callable[..., Path]) -> None:
    result = run("--protocol", g4, "--detections", write(), "--distance", "euclidean", flag)
    assert result.exit_code == 2 and "leave out --distance" in result.stderr


def test_neither_torch_nor_images_are_needed(
    few_scenes: Path, write: Callable[..., Path], tmp_path: Path
) -> None:
    root = tmp_path / "bare"
    root.mkdir()
    (root / "annotation").symlink_to(few_scenes / "annotation")
    arguments = ["score", "--protocol", str(root), "--detections", str(write()), "--gallery-size", "4"]
    code = (
        "import sys; sys.modules['torch'] = None; from maskps_cli.main import main; "
        f"main({arguments!r}, standalone_mode=False)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "TestG4" in done.stdout


def nan_in(array: np.ndarray) -> np.ndarray:
    changed = array.copy()
    changed[1] = np.nan
    return changed


def xywh(boxes: np.ndarray) -> np.ndarray:
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def without_ending(names: np.ndarray) -> np.ndarray:
    return np.array([name.removesuffix(".jpg") for name in names])


BAD_DETECTIONS: dict[str, tuple[Callable[[Detections], dict[str, Any]], list[str]]] = {
    "NaN embedding": (lambda d: {"embeddings": nan_in(d.embeddings)}, ["embeddings of '", "NaN"]),
    "NaN box": (lambda d: {"boxes": nan_in(d.boxes)}, ["boxes of '", "NaN"]),
    "NaN query": (lambda d: {"query_embeddings": nan_in(d.query_embeddings)}, ["query_embeddings row 1"]),
    "xywh boxes": (lambda d: {"boxes": xywh(d.boxes)}, ["x1 >= x0", "width, height"]),
    "scores in percent": (lambda d: {"scores": d.scores * 100}, ["from 0 to 1", "by 100"]),
    "negative scores": (lambda d: {"scores": d.scores - 2}, ["from 0 to 1", "sigmoid"]),
    "wider than float32": (
        lambda d: {"embeddings": d.embeddings.astype(np.float64) * 1e300},
        ["float32", "embeddings of '"],
    ),
    "no dimension": (
        lambda d: {"embeddings": d.embeddings[:, :0], "query_embeddings": d.query_embeddings[:, :0]},
        ["vectors of one number or more"],
    ),
    "other dimension": (lambda d: {"embeddings": d.embeddings[:, :4]}, ["embeddings", "shape"]),
    "flat embeddings": (lambda d: {"embeddings": d.embeddings.ravel()}, ["2 dimension(s)"]),
    "a box too many": (lambda d: {"boxes": np.repeat(d.boxes, 2, axis=0)}, ["boxes", "shape"]),
    "one query too few": (
        lambda d: {"query_embeddings": d.query_embeddings[:2], "query_names": None, "query_boxes": None},
        ["3 queries", "2 rows"],
    ),
    "another query": (lambda d: {"query_boxes": d.query_boxes + 9}, ["query 'p", "embed the queries"]),
    "no scores": (lambda d: {"scores": None}, ["no scores", "save them under these names"]),
    "names without ending": (
        lambda d: {"image_names": without_ending(d.image_names)},
        ["gallery images", "write the names as in the protocol: '"],
    ),
    "unknown names": (
        lambda d: {"image_names": np.array([f"x{i}" for i in range(d.num_images)])},
        ["gallery images", "run the network"],
    ),
    "an image twice": (
        lambda d: {"image_names": np.array([d.image_names[0]] * 2 + d.image_names[2:].tolist())},
        ["2 times"],
    ),
    "pickled": (lambda d: {"scores": np.array([0.5, None], dtype=object)}, ["no pickles", "pickle"]),
    "text as scores": (lambda d: {"scores": np.array(["a"] * len(d))}, ["scores as float32"]),
    "falling offsets": (lambda d: {"offsets": d.offsets[::-1].copy()}, ["offsets", "rising"]),
}


@pytest.mark.parametrize("case", BAD_DETECTIONS)
def test_bad_detections_are_named_and_give_no_number(
    case: str, found: Detections, g4: Path, write: Callable[..., Path]
) -> None:
    change, texts = BAD_DETECTIONS[case]
    result = run("--protocol", g4, "--detections", write(**change(found)))
    assert result.exit_code == 1 and result.stdout == ""
    for text in ("expected:", "found:", *texts):
        assert text in result.stderr, result.stderr


@pytest.mark.parametrize(("cut", "text"), [(-30, "damaged"), (-400, "damaged"), (0, "an empty file")])
def test_a_detections_file_cut_off_is_named(
    cut: int, text: str, g4: Path, write: Callable[..., Path]
) -> None:
    path = write()
    path.write_bytes(path.read_bytes()[:cut])
    result = run("--protocol", g4, "--detections", path)
    assert result.exit_code == 1 and result.stdout == ""
    assert text in result.stderr and "dets.npz" in result.stderr


def test_a_text_file_is_named_without_advice_to_unpickle_it(g4: Path, tmp_path: Path) -> None:
    (tmp_path / "dets.npz").write_text("image,x,y\n")
    result = run("--protocol", g4, "--detections", tmp_path / "dets.npz")
    assert result.exit_code == 1 and "another file" in result.stderr
    assert "trust" not in result.stderr


def test_images_that_nobody_asked_for_are_warned_of(
    found: Detections, g4: Path, write: Callable[..., Path], caplog: pytest.LogCaptureFixture
) -> None:
    names = np.append(found.image_names, "other.jpg")
    path = write(image_names=names, offsets=np.append(found.offsets, len(found)))
    result = run("--protocol", g4, "--detections", path, "--json")
    assert mAP_of(result) == mAP_of(run("--protocol", g4, "--detections", write(), "--json"))
    assert "other.jpg" in caplog.text


@pytest.mark.parametrize(
    ("protocol", "options", "text"),
    [
        ("annotation/Images.mat", [], "'Query'"),
        ("synth.json", [], "a JSON file"),
        ("annotation/none.mat", [], "no such file"),
        ("annotation", [], "a data set"),
        (".", [], "TestG100"),
        (".", ["--gallery-size", "5"], "TestG5"),
        (".", ["--gallery-size", "4", "--camera", "cross"], "camera"),
        (
            "annotation/test/train_test/TestG4.mat",
            ["--gallery-size", "6"],
            "the size of the file's galleries",
        ),
        ("annotation/test/train_test/TestG4.mat", ["--subset", "occlusion"], "the folder of a data set"),
        ("annotation/test/train_test/TestG4.mat", ["--camera", "same"], "the folder of a data set"),
    ],
)
def test_a_protocol_that_is_not_there_is_named(
    protocol: str, options: list[str], text: str, few_scenes: Path, write: Callable[..., Path]
) -> None:
    result = run("--protocol", few_scenes / protocol, "--detections", write(), *options)
    assert result.exit_code == 1 and result.stdout == ""
    assert "expected:" in result.stderr and text in result.stderr, result.stderr


@pytest.mark.parametrize("size", ["0", "-3", "many", "1.5"])
def test_a_gallery_size_is_a_number_or_all(size: str, few_scenes: Path, write: Callable[..., Path]) -> None:
    result = run("--protocol", few_scenes, "--detections", write(), "--gallery-size", size)
    assert result.exit_code == 2


def test_a_data_set_without_the_usual_size_says_what_it_has(
    few_scenes: Path, write: Callable[..., Path]
) -> None:
    result = run("--protocol", few_scenes, "--detections", write())
    assert result.exit_code == 1 and "TestG4, TestG6" in result.stderr
    assert "4, 6 (--gallery-size" in result.stderr


@pytest.mark.parametrize("name", ["TestG7", "mine", "Occlusion"])
def test_the_only_protocol_is_the_default(
    name: str, dataset: PersonSearchDataset, write: Callable[..., Path], tmp_path: Path
) -> None:
    protocol = open_protocol(dataset, "TestG4")
    write_coco(tmp_path / "set", dataset, {name: protocol})
    asked = ("--protocol", tmp_path / "set", "--detections", write(), "--json")
    (line,) = json.loads(run(*asked).stdout)["results"]
    assert (line["protocol"], line["queries"]) == (name, protocol.num_queries)


def test_any_protocol_of_a_data_set_can_be_named(
    dataset: PersonSearchDataset, write: Callable[..., Path], tmp_path: Path
) -> None:
    write_coco(tmp_path / "set", dataset, dict.fromkeys(("easy", "hard"), open_protocol(dataset, "TestG4")))
    asked = ("--protocol", tmp_path / "set", "--detections", write())
    unnamed = run(*asked)
    assert unnamed.exit_code == 1 and "easy, hard" in unnamed.stderr and "--subset NAME" in unnamed.stderr
    (line,) = json.loads(run(*asked, "--subset", "hard", "--json").stdout)["results"]
    assert line["protocol"] == "hard"


def test_a_data_set_without_protocols_says_so(
    dataset: PersonSearchDataset, write: Callable[..., Path], tmp_path: Path
) -> None:
    write_coco(tmp_path / "set", dataset, {})
    result = run("--protocol", tmp_path / "set", "--detections", write())
    assert result.exit_code == 1 and "a data set with test protocols" in result.stderr
    assert "TestG" not in result.stderr and "docs/coco.md" in result.stderr


def test_the_released_protocol_is_called_by_its_name(real_data: Path, tmp_path: Path) -> None:
    protocol = real_data / "cuhk_sysu" / "TestG100.mat"
    names = read_protocol(protocol).image_names
    empty = Detections.from_images(
        names.tolist(),
        [np.zeros((0, 4))] * 6978,
        [np.zeros(0)] * 6978,
        [np.zeros((0, 2))] * 6978,
        np.eye(2)[[0] * 2900],
    )
    write_detections(tmp_path / "dets.npz", empty)
    content = json.loads(run("--protocol", protocol, "--detections", tmp_path / "dets.npz", "--json").stdout)
    assert content["data"]["name"] == "CUHK-SYSU" and not content["data"]["synthetic"]
    (line,) = content["results"]
    assert line["mAP"] == 0 and line["failures"]["not detected"] == 2900
