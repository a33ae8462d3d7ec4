"""`maskps export`, and what its file finds. The network is exported once, which takes half a minute."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import Result
from command_line import invoke

from maskps.datasets import open_dataset
from maskps.errors import MaskpsError
from maskps.evaluation.result_file import read_results
from maskps.io.images import read_image
from maskps.model import OnnxPredictor, Predictor
from maskps.model.export import SceneComparison, check_equal, compare
from maskps.model.onnx_file import read_onnx
from maskps.training import RunInfo, SceneDataset, load_config, load_run
from maskps.training.checkpoint import Checkpoint, checkpoint_path, write_checkpoint
from maskps.training.run import write_run_files
from maskps_cli.main import main

SETTINGS = [
    *("pretrained=none", "shorter_side=96", "longest_side=160", "size_divisor=32", "resize=torchvision"),
    *("rpn_post_nms_top_n_test=20", "detections_per_image=6", "score_weighted_similarity=true"),
    *("head=sequential", "embedding_features=res4_res5", "embedding_norm=true", "pooling=max"),
]
"""SeqNet's network on the smallest backbone: most parts that a graph can have."""

pytestmark = pytest.mark.usefixtures("one_thread")

run = partial(invoke, main)


def write_run(out: Path, scenes: Path, seed: int) -> Path:
    """Writes the folder of a finished run whose network has learned nothing but to say "person"."""
    from maskps.model.build import build_model

    config = load_config("tiny", [*SETTINGS, f"seed={seed}"])
    info = RunInfo.of(SceneDataset(open_dataset(scenes), None, replace(config, masks=False)))
    model = build_model(config, info.num_pids)
    assert model.roi_heads.first is not None
    with torch.no_grad():
        model.roi_heads.first.box_head.classifier.bias += torch.tensor([0.0, 1.0])
    out.mkdir()
    write_run_files(out, replace(info, terms="research only"), config)
    write_checkpoint(
        checkpoint_path(out, info.steps), Checkpoint(info.steps, info.num_pids, model.state_dict(), {})
    )
    return out


@pytest.fixture(scope="module")
def network(few_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("network") / "run", few_scenes, seed=0)


@pytest.fixture(scope="module")
def exported(network: Path) -> tuple[Result, Path]:
    out = network.parent / "model.onnx"
    return run("export", "--run", network, "--out", out, "--json"), out


@pytest.fixture
def predictor(network: Path) -> Predictor:
    return load_run(network).predictor()


@pytest.fixture
def images(few_scenes: Path) -> list[np.ndarray]:
    dataset = open_dataset(few_scenes)
    return [read_image(dataset.image_path(name)) for name in dataset.test.names[:3].tolist()]


def test_the_command_compares_three_scenes_with_pytorch(
    exported: tuple[Result, Path], predictor: Predictor
) -> None:
    result, out = exported
    assert result.exit_code == 0, result.output
    content = json.loads(result.stdout)
    assert content["weights"] == predictor.weights and content["bytes"] == out.stat().st_size
    scenes = content["scenes"]
    assert len({(scene["height"], scene["width"]) for scene in scenes}) == 3
    assert [scene["given"] for scene in scenes] == [0, 1, 3]
    assert any(scene["height"] % 32 and scene["width"] % 32 for scene in scenes)
    for scene in scenes:
        assert scene["detections"] == scene["onnx_detections"] > 0
        assert scene["boxes"] <= 0.01 and scene["scores"] <= 1e-5 and scene["embeddings"] <= 1e-5
        assert scene["given_embeddings"] <= 1e-5
    assert [path.name for path in out.parent.glob("*model*")] == ["model.onnx"]
    assert b'.py", line' not in out.read_bytes()  # the exporter notes lines of source files


def test_an_existing_file_needs_force(exported: tuple[Result, Path], network: Path) -> None:
    _, out = exported
    before = out.read_bytes()
    result = run("export", "--run", network, "--out", out)
    assert result.exit_code == 1 and "--force" in result.output and out.read_bytes() == before


def test_the_comparison_fails_on_the_graph_of_other_weights(
    exported: tuple[Result, Path], few_scenes: Path, tmp_path: Path
) -> None:
    other = load_run(write_run(tmp_path / "other", few_scenes, seed=1)).predictor()
    scenes = compare(read_onnx(exported[1]), exported[1], other)
    with pytest.raises(MaskpsError, match="apart"):
        check_equal(scenes, exported[1])


def test_the_comparison_fails_on_a_graph_that_suppresses_fewer_boxes(
    exported: tuple[Result, Path], predictor: Predictor
) -> None:
    """Given embeddings stay equal; only the detections of the graph are wrong."""
    import onnx

    model = onnx.load_from_string(read_onnx(exported[1]))
    changed = 0
    for values in model.graph.initializer:
        array = onnx.numpy_helper.to_array(values)
        if array.dtype == np.float32 and array.size == 1 and np.allclose(array, 0.4):
            values.CopyFrom(onnx.numpy_helper.from_array(np.full_like(array, 0.95), values.name))
            changed += 1
    assert changed
    scenes = compare(model.SerializeToString(), exported[1], predictor)
    assert max(scene.given_embeddings for scene in scenes) <= 1e-5
    with pytest.raises(MaskpsError, match="persons instead of"):
        check_equal(scenes, exported[1])


def test_a_network_that_differs_writes_nothing(
    exported: tuple[Result, Path], few_scenes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = write_run(tmp_path / "other", few_scenes, seed=1)
    monkeypatch.setattr("maskps.model.export.onnx_of", lambda predictor: read_onnx(exported[1]))
    result = run("export", "--run", other, "--out", tmp_path / "model.onnx")
    assert result.exit_code == 1 and "nothing was written" in result.output
    assert [path.name for path in tmp_path.iterdir()] == ["other"]


def test_the_command_warns_if_nobody_was_found(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nobody(predictor: Predictor, path: Path, *, force: bool) -> list[SceneComparison]:
        path.touch()
        return [SceneComparison(90, 120, 1, 0, 0, 0, 0, 0, 1e-7)]

    monkeypatch.setattr("maskps.model.export.export_network", nobody)
    result = run("export", "--run", network, "--out", tmp_path / "model.onnx")
    assert result.exit_code == 0 and "finds nobody" in result.stderr


@pytest.mark.parametrize("unit_length", [True, False])
def test_the_predictor_finds_what_pytorch_finds(
    exported: tuple[Result, Path], network: Path, images: list[np.ndarray], unit_length: bool
) -> None:
    theirs = load_run(network).predictor(unit_length=unit_length)
    ours = OnnxPredictor(exported[1], unit_length=unit_length, threads=1)
    for name in ("weights", "feature", "dim", "shorter_side", "longest_side", "recipe", "terms"):
        assert getattr(ours, name) == getattr(theirs, name), name
    boxes = np.array([[10, 20, 50, 110], [0, 0, 90, 120]], np.float32)
    for count, image in zip((0, 1, 2), images, strict=True):
        found, given = ours.detect_and_embed(image, boxes[:count])
        expected, expected_given = theirs.detect_and_embed(image, boxes[:count])
        assert len(found.scores) == len(expected.scores) > 0
        for actual, wanted in zip((*found, given), (*expected, expected_given), strict=True):
            assert actual.dtype == np.float32 and actual.shape == wanted.shape
        np.testing.assert_allclose(found.boxes, expected.boxes, atol=0.01)
        np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
        np.testing.assert_allclose(found.embeddings, expected.embeddings, atol=1e-5)
        np.testing.assert_allclose(given, expected_given, atol=1e-5)
        lengths = np.linalg.norm(found.embeddings, axis=1)
        np.testing.assert_allclose(lengths, found.scores if unit_length else 1, atol=1e-5)


def test_the_predictor_runs_without_torch(exported: tuple[Result, Path], tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['torchvision'] = None\n"
        "import numpy as np\n"
        "from maskps.model import OnnxPredictor\n"
        f"predictor = OnnxPredictor({str(exported[1])!r}, threads=1)\n"
        "image = np.random.default_rng(0).integers(0, 256, (200, 150, 3), dtype=np.uint8)\n"
        "print(len(predictor.detect(image).scores), predictor.embed(image, np.ones((2, 4))).shape)\n"
    )
    result = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert int(result.stdout.split()[0]) > 0 and "(2, 256)" in result.stdout


@pytest.mark.parametrize("options", [["--gt-boxes"], ["--rerank", "--cbgm"], ["--distance", "euclidean"]])
def test_eval_of_the_file_gives_the_results_of_the_run(
    exported: tuple[Result, Path], network: Path, few_scenes: Path, tmp_path: Path, options: list[str]
) -> None:
    results = []
    for option, path in (("--run", network), ("--onnx", exported[1])):
        out = tmp_path / f"{path.name}.json"
        result = run("eval", few_scenes, option, path, "--gallery-size", "6", *options, "--out", out)
        assert result.exit_code == 0, result.output
        assert "data terms: research only" in result.output
        results.append(read_results(out))
    ours, theirs = results
    assert len(ours.results) == len(theirs.results)
    for one, other in zip(ours.results, theirs.results, strict=True):
        assert round(one.mAP, 4) == round(other.mAP, 4)
        assert (one.top1, one.top5, one.top10) == (other.top1, other.top5, other.top10)
        assert one.mAP > 0 or options != ["--gt-boxes"]
    assert theirs.source.run == str(exported[1]) and theirs.source.terms == "research only"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "either --run DIR or --onnx FILE"),
        (["--run", "run", "--onnx", "model.onnx"], "either --run DIR or --onnx FILE"),
        (["--onnx", "model.onnx", "--feature", "pooled"], "give --run DIR"),
        (["--onnx", "model.onnx", "--outlines", "drawn"], "give --run DIR"),
        (["--onnx", "model.onnx", "--checkpoint", "best"], "--checkpoint"),
    ],
)
def test_options_that_an_onnx_file_cannot_have_are_wrong_usage(options: list[str], message: str) -> None:
    result = run("eval", "scenes", *options)
    assert result.exit_code == 2 and message in result.output
