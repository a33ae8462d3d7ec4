"""`maskps eval` with several protocols, saved detections, interruptions and several processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from command_line import invoke
from untrained_run import write_untrained_run

import maskps.evaluation.extraction
from maskps.datasets import open_dataset
from maskps.datasets.protocols import open_protocol
from maskps.evaluation import read_detections
from maskps.evaluation.result_file import read_results
from maskps.training.run import read_run_files, write_run_files
from maskps_cli.main import main

SIZES = ["--gallery-size", "4", "--gallery-size", "6", "--gallery-size", "all", "--subset", "occlusion"]

pytestmark = pytest.mark.usefixtures("one_thread")

run = partial(invoke, main)


@pytest.fixture(scope="module")
def network(few_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run whose network has learned nothing but to say "person"."""
    return write_untrained_run(few_scenes, tmp_path_factory.mktemp("network") / "run")


def test_eval_is_saved_detections_and_score(few_scenes: Path, network: Path, tmp_path: Path) -> None:
    saved, out, of_score = tmp_path / "dets.npz", tmp_path / "eval.json", tmp_path / "score.json"
    asked = [*SIZES, "--rules", "paper", "--cbgm", "--rerank"]
    result = run("eval", few_scenes, "--run", network, *asked, "--save-detections", saved, "--out", out)
    assert result.exit_code == 0, result.output
    assert (
        run("score", "--protocol", few_scenes, "--detections", saved, *asked, "--out", of_score).exit_code
        == 0
    )
    ours, theirs = read_results(out).to_dict(), read_results(of_score).to_dict()
    assert len(ours["results"]) == 12 and (read_detections(saved).scores >= 0.5).any()
    for key in ("data", "results", "detection"):
        assert ours[key] == theirs[key]
    source = read_results(out).source
    assert (source.run, source.masks, source.step) == (str(network), False, 36)
    assert source.detections == "dets.npz"
    assert source.recipe is None  # the settings are not quite those of a recipe


def test_nothing_is_left_in_the_run_folder(few_scenes: Path, network: Path) -> None:
    result = run("eval", few_scenes, "--run", network, "--gallery-size", "4", "--json")
    assert result.exit_code == 0, result.output
    assert not (network / "evaluation").exists()


def test_a_report_finds_the_detections_that_eval_saved(
    few_scenes: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under names of their own, in other folders, from another working directory, and after a move."""
    (tmp_path / "made" / "results").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "made")
    asked = ("--gallery-size", "6", "--save-detections", "mine_dets.npz", "--out", "results/mine.json")
    assert run("eval", few_scenes, "--run", network, *asked).exit_code == 0
    assert read_results(Path("results/mine.json")).source.detections == "../mine_dets.npz"
    (tmp_path / "made").rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path)
    result = run("report", "moved/results/mine.json", "--images", few_scenes, "--out", "page.html")
    assert result.exit_code == 0, result.output


def test_the_pooled_feature_is_longer_and_ranks_otherwise(
    few_scenes: Path, network: Path, tmp_path: Path
) -> None:
    for feature in ("embedding", "pooled"):
        saved, out = tmp_path / f"{feature}.npz", tmp_path / f"{feature}.json"
        asked = ("--gallery-size", "6", "--feature", feature, "--save-detections", saved, "--out", out)
        assert run("eval", few_scenes, "--run", network, *asked).exit_code == 0
        assert read_results(out).results[0].feature == feature
    vectors = [read_detections(tmp_path / f"{name}.npz") for name in ("embedding", "pooled")]
    assert vectors[0].embeddings.shape[1] < vectors[1].embeddings.shape[1]
    assert np.array_equal(vectors[0].boxes, vectors[1].boxes)


def test_distance_compares_the_features_as_they_are(few_scenes: Path, network: Path, tmp_path: Path) -> None:
    saved, out, of_score = tmp_path / "dets.npz", tmp_path / "eval.json", tmp_path / "score.json"
    asked = ("--gallery-size", "6", "--feature", "pooled", "--distance", "euclidean")
    result = run("eval", few_scenes, "--run", network, *asked, "--save-detections", saved, "--out", out)
    assert result.exit_code == 0, result.output
    vectors = read_detections(saved)
    for rows in (vectors.embeddings, vectors.query_embeddings):
        assert (np.abs(np.linalg.norm(rows, axis=1) - 1) > 0.01).all()
    assert (
        run("score", "--protocol", few_scenes, "--detections", saved, *asked, "--out", of_score).exit_code
        == 0
    )
    (line,) = read_results(out).results
    assert (line.feature, line.method) == ("pooled", "euclidean")
    assert line.to_dict() == read_results(of_score).results[0].to_dict()


def test_annotated_boxes_leave_no_query_undetected(few_scenes: Path, network: Path) -> None:
    result = run("eval", few_scenes, "--run", network, "--gallery-size", "6", "--gt-boxes", "--json")
    content = json.loads(result.stdout)
    failures = content["results"][0]["failures"]
    assert failures["not detected"] == failures["below score threshold"] == 0
    assert content["detection"] == {}


def test_outlines_measure_the_masks_of_persons_that_training_did_not_use(
    few_scenes: Path, network: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The run had no outlines, so all outlines of training images count."""
    drawn, out = few_scenes / "truth" / "labelme", tmp_path / "r.json"
    asked = ("eval", few_scenes, "--run", network, "--gallery-size", "6", "--outlines", drawn)
    result = run(*asked, "--out", out)
    assert result.exit_code == 0, result.output
    train = open_dataset(few_scenes).train
    quality = read_results(out).mask_quality
    assert quality is not None
    assert (quality.train_persons, quality.test_persons) == (int(train.is_labeled.sum()), 0)
    assert f"predicted masks: IoU {quality.iou:.3f} (mean mask of the same persons" in result.stdout
    assert "worse than one constant mask" in caplog.text

    info, config = read_run_files(network)
    used = tmp_path / "run"
    shutil.copytree(network, used)
    with_persons = np.unique(train.scene_of_person[train.is_labeled])
    names = train.names[with_persons].tolist()
    write_run_files(used, replace(info, images_with_masks=names[1:]), config)
    result = run(*asked[:3], used, *asked[4:], "--json")
    left = json.loads(result.stdout)["mask_quality"]["train_persons"]
    assert left == train.labeled_per_scene[with_persons[0]]

    write_run_files(used, replace(info, images_with_masks=names), config)
    result = run(*asked[:3], used, *asked[4:])
    assert result.exit_code == 1 and "draw some persons of test images" in result.stderr


def test_background_sensitivity_is_measured_with_outlines_of_test_persons(
    few_scenes: Path, network: Path
) -> None:
    truth = few_scenes / "truth"
    asked = ("eval", few_scenes, "--run", network, "--gallery-size", "6", "--background-sensitivity")
    result = run(*asked, "--outlines", truth / "labelme_test", "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    persons = int(open_dataset(few_scenes).test.is_labeled.sum())
    assert content["background_sensitivity"]["persons"] == content["mask_quality"]["test_persons"] == persons
    assert content["background_sensitivity"]["sensitivity"] > 0
    of_training = run(*asked, "--outlines", truth / "labelme")
    assert of_training.exit_code == 1 and "in test images" in of_training.stderr
    without = run(*asked)
    assert without.exit_code == 2 and "--outlines DIR" in without.stderr


def test_masks_of_a_branch_that_was_not_trained_are_not_measured(
    few_scenes: Path, network: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    info, config = read_run_files(network)
    untrained = tmp_path / "run"
    shutil.copytree(network, untrained)
    write_run_files(untrained, info, replace(config, masks=False))
    drawn = few_scenes / "truth" / "labelme_test"
    asked = ("eval", few_scenes, "--run", untrained, "--gallery-size", "6", "--outlines", drawn)
    refused = run(*asked)
    assert refused.exit_code == 1 and "the mask branch was not trained" in refused.stderr
    result = run(*asked, "--background-sensitivity", "--json")
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert "mask_quality" not in content and content["background_sensitivity"]["sensitivity"] > 0
    assert "was not trained" in caplog.text


def test_the_data_terms_of_the_weights_are_shown(few_scenes: Path, network: Path, tmp_path: Path) -> None:
    info, config = read_run_files(network)
    asked = ("eval", few_scenes, "--gallery-size", "6", "--run")
    assert info.terms == "" and "data terms" not in run(*asked, network).stdout
    bound, out = tmp_path / "run", tmp_path / "r.json"
    shutil.copytree(network, bound)
    write_run_files(bound, replace(info, terms="trained on a set: not for sale"), config)
    result = run(*asked, bound, "--out", out)
    assert "data terms: trained on a set: not for sale" in result.stdout
    assert read_results(out).source.terms == "trained on a set: not for sale"


def test_a_folder_without_outlines_of_these_images_is_an_error(
    few_scenes: Path, network: Path, tmp_path: Path
) -> None:
    (tmp_path / "s1.txt").write_text("")
    result = run("eval", few_scenes, "--run", network, "--gallery-size", "6", "--outlines", tmp_path)
    assert result.exit_code == 1 and "0 files of its images" in result.stderr and "1 .txt" in result.stderr


def test_interrupted_it_says_so_and_resumes(
    few_scenes: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, images = maskps.evaluation.extraction.image_features, []
    saved = tmp_path / "dets.npz"

    def counted(*arguments, **keywords):  # type: ignore[no-untyped-def]
        images.append(1)
        if len(images) == 4:
            raise KeyboardInterrupt
        return real(*arguments, **keywords)

    monkeypatch.setattr(maskps.evaluation.extraction, "image_features", counted)
    command = ("eval", few_scenes, "--run", network, "--gallery-size", "6", "--json")
    first = run(*command)
    assert first.exit_code == 1 and "the same command continues" in first.stderr
    assert (network / "evaluation").is_dir()
    second = run(*command)
    assert second.exit_code == 0, second.output
    done_twice = 1  # the one in which it was interrupted
    assert not (network / "evaluation").exists()
    monkeypatch.undo()
    whole, resumed = json.loads(run(*command, "--save-detections", saved).stdout), json.loads(second.stdout)
    assert whole["source"].pop("detections") == str(saved)
    assert whole == resumed
    assert len(images) == _images_of(few_scenes, "TestG6") + done_twice


def _images_of(root: Path, name: str) -> int:
    protocol = open_protocol(open_dataset(root), name)
    scenes = protocol.galleries[protocol.galleries >= 0]
    return len(np.union1d(scenes, protocol.query_scenes))


def test_two_processes_are_one(few_scenes: Path, network: Path, tmp_path: Path) -> None:
    asked = ["eval", few_scenes, "--run", network, "--gallery-size", "6", "--json"]
    alone = run(*asked)
    paths = os.pathsep.join(path for path in sys.path if path)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, "-m", "--", "maskps_cli.main", *map(str, asked)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == json.loads(alone.stdout)


@pytest.mark.parametrize("option", ["--out", "--save-detections"])
def test_what_cannot_be_written_is_refused_before_the_first_image(
    option: str, few_scenes: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(maskps.evaluation.extraction, "image_features", None)
    (tmp_path / "mine").write_text("keep")
    for options in ([], ["--force"]):
        result = run(
            "eval", few_scenes, "--run", network, "--gallery-size", "4", option, tmp_path / "mine", *options
        )
        assert result.exit_code == 1 and "another kind" in result.stderr
    assert (tmp_path / "mine").read_text() == "keep"


def test_results_and_detections_are_two_files(few_scenes: Path, network: Path, tmp_path: Path) -> None:
    both = ("--out", tmp_path / "one", "--save-detections", tmp_path / "." / "one")
    result = run("eval", few_scenes, "--run", network, *both)
    assert result.exit_code == 2 and "the same file" in result.stderr
    assert not (tmp_path / "one").exists()


def test_a_data_set_that_is_not_there_is_no_protocol_file(network: Path, tmp_path: Path) -> None:
    result = run("eval", tmp_path / "none", "--run", network)
    assert result.exit_code == 1 and "data set" in result.stderr and "MATLAB" not in result.stderr
