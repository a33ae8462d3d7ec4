"""The graph for export against the network, for every head and backbone; the file; pixels without torch."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from maskps.errors import ConfigError, InputFileError, MaskpsError, OutputExistsError
from maskps.model import MaskGuidedPersonSearch, OnnxPredictor, Predictor, export_network, resize_image
from maskps.model.export import SceneComparison, check_equal, compare, generated_scene, steady_scene
from maskps.model.export_graph import ExportGraph
from maskps.model.onnx_file import OnnxInfo, onnx_content, read_onnx, write_onnx
from maskps.model.onnx_predictor import INPUTS, OUTPUTS, resized_pixels

Model = Callable[..., MaskGuidedPersonSearch]

INFO = OnnxInfo("ab" * 32, 32, 96, 160, "antialiased", False, 0.05, 0.4, 300, "tiny", "research only")

NETWORKS: dict[str, dict[str, Any]] = {
    "single": {},
    "norm_aware": {"head": "norm_aware", "embedding_norm": True},
    "sequential": {"head": "sequential", "pooling": "max", "roi_align_aligned": False, "size_divisor": 32},
    "res4_res5": {"embedding_features": "res4_res5"},
    "detection": {"detection_feature": "detection", "detections_per_image": 3},
    "masks of res5": {"mask_pooling": True, "embedding_features": "res4_res5"},
    "masks of res2": {"mask_pooling": True, "mask_features": "res2"},
    "masks of 28 cells": {"mask_pooling": True, "mask_size": 28, "embedding_features": "res4_res5"},
    "recomputed": {"activation_checkpointing": True},
    "frozen": {"freeze_batch_norm": "all"},
    "more proposals than anchors": {"rpn_pre_nms_top_n_test": 300, "rpn_post_nms_top_n_test": 40},
    "few detections": {"box_score_threshold": 0.5, "detections_per_image": 4},
    "convnext_tiny": {"backbone": "convnext_tiny", "rpn_post_nms_top_n_test": 5},
    "mobilenet_v2": {"backbone": "mobilenet_v2"},
    "mobilenet_v3_large": {"backbone": "mobilenet_v3_large"},
}


def restless(model: MaskGuidedPersonSearch) -> MaskGuidedPersonSearch:
    """Gives batch norms statistics, and box heads weights, that show where they are used."""
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, values in model.state_dict().items():
            if name.endswith(("running_mean", "running_var")):
                values.copy_(torch.rand(values.shape, generator=generator) * 0.3 + 0.8 * name.endswith("var"))
            elif values.is_floating_point() and ("box_head" in name or "rpn" in name):
                values.add_(torch.randn(values.shape, generator=generator) * 0.02)
    return model


@pytest.mark.parametrize("settings", NETWORKS.values(), ids=NETWORKS)
def test_the_graph_finds_what_the_network_finds(small_model: Model, settings: dict[str, Any]) -> None:
    model = restless(small_model(**settings)).eval()
    graph = ExportGraph(model)
    generator = torch.Generator().manual_seed(0)
    given = torch.tensor([[3.0, 4, 50, 80], [0, 0, 90, 90], [20, 5, 30, 33]])
    for height, width, count in ((100, 120, 3), (64, 32, 0), (49, 131, 1)):
        image = torch.rand(3, height, width, generator=generator)
        with torch.inference_mode():
            (found,), (pooled,) = model.detect_and_pool([image], [given[:count]])
            expected = (found.boxes, found.scores, found.embeddings, model.roi_heads.embed(pooled))
            boxes, scores, embeddings, of_given = graph(image, given[:count])
        rows = len(found.scores)
        assert rows > 0 and (scores[:rows] >= 0).all() and (scores[rows:] == -1).all()
        for actual, wanted in zip(
            (boxes[:rows], scores[:rows], embeddings[:rows], of_given), expected, strict=True
        ):
            torch.testing.assert_close(actual, wanted, atol=1e-6, rtol=0)


def test_the_graph_is_a_copy_without_the_table_of_identities(small_model: Model) -> None:
    model = small_model(activation_checkpointing=True).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    names = set(ExportGraph(model).state_dict())
    assert model.training and model.stem.recompute and model.roi_heads.id_loss is not None
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any("id_loss" in name for name in names)


def scene(**changes: Any) -> SceneComparison:
    return dataclasses.replace(SceneComparison(90, 120, 1, 5, 5, 1e-3, 1e-4, 1e-5, 1e-5), **changes)


def test_a_comparison_passes_up_to_rounding() -> None:
    most = scene(boxes=0.05, scores=1e-3, embeddings=1e-4, given_embeddings=1e-4)
    check_equal([scene(), most, scene(detections=0, onnx_detections=0)], Path("model.onnx"))


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"onnx_detections": 6}, "120 x 90 pixels 6 persons instead of 5"),
        ({"boxes": 0.06}, "boxes 0.06 apart, at most 0.05"),
        ({"scores": 2e-3}, "scores 0.002 apart"),
        ({"embeddings": 2e-4}, "embeddings 0.0002 apart"),
        ({"given_embeddings": 2e-4}, "given_embeddings 0.0002 apart, at most 0.0001"),
        ({"given_embeddings": float("nan")}, "nan apart"),
        ({"onnx_detections": 4, "boxes": 9.0}, "4 persons instead of 5; boxes 9 apart"),
    ],
)
def test_a_comparison_fails_when_one_scene_differs(changes: dict[str, Any], found: str) -> None:
    with pytest.raises(MaskpsError, match=found):
        check_equal([scene(given=3), scene(**changes), scene(given=0)], Path("model.onnx"))


class NaiveGraph(nn.Module):
    """The network as it is."""

    def __init__(self, model: MaskGuidedPersonSearch) -> None:
        super().__init__()
        self.model = model.eval()

    def forward(self, image: Tensor, given: Tensor) -> tuple[Tensor, ...]:
        (found,), (pooled,) = self.model.detect_and_pool([image], [given])
        return found.boxes, found.scores, found.embeddings, self.model.roi_heads.embed(pooled)


def traced(module: nn.Module) -> bytes:
    """Returns the ONNX graph of torch's older exporter, which keeps what it saw in one example."""
    axes = {name: {0: "rows"} for name in OUTPUTS} | {"image": {1: "height", 2: "width"}, "given": {0: "n"}}
    example = (torch.rand(3, 100, 120), torch.tensor([[3.0, 4, 50, 80], [0, 0, 90, 90], [20, 5, 30, 33]]))
    file = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            module.eval(),
            example,
            file,
            input_names=INPUTS,
            output_names=OUTPUTS,
            dynamic_axes=axes,
            dynamo=False,
            opset_version=18,
        )
    return file.getvalue()


def test_the_comparison_fails_on_the_traced_network(small_model: Model) -> None:
    """Its graph has the numbers of proposals of the example; onnxruntime refuses to run it."""
    model = restless(small_model())
    predictor = Predictor(model, shorter_side=96, longest_side=160)
    with pytest.raises(MaskpsError, match="Split"):
        compare(traced(NaiveGraph(model)), Path("naive.onnx"), predictor)


def test_the_comparison_fails_on_a_graph_that_clips_as_in_its_example(small_model: Model) -> None:
    """Its persons are as many, with the same scores and embeddings; boxes end at the example's border."""
    model = restless(small_model())
    predictor = Predictor(model, shorter_side=96, longest_side=160)
    scenes = compare(traced(ExportGraph(model)), Path("traced.onnx"), predictor)
    assert {name for scene in scenes for name in scene.differing()} == {"boxes"}
    with pytest.raises(MaskpsError, match="boxes 16 apart"):
        check_equal(scenes, Path("traced.onnx"))


def test_a_scene_is_not_compared_if_its_persons_depend_on_rounding(
    small_model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As soon as the score of one of its persons lies at the threshold, the next scene is taken."""
    monkeypatch.setattr("maskps.model.export._NOISE", 1e-4)  # the small network hardly feels less
    model = restless(small_model())
    heads = model.roi_heads
    with torch.no_grad():
        heads.box_head.classifier.weight *= 100
    predictor = Predictor(model, shorter_side=96, longest_side=160)
    pixels, boxes, (found, _) = steady_scene(predictor, [0, 1], 160, 2)
    assert np.array_equal(pixels, generated_scene(0, 160, 2)[0]) and boxes.shape == (2, 4)
    at_threshold = float(found.scores[-1]) * (1 - 1e-7)
    heads.box_filter = dataclasses.replace(heads.box_filter, score_threshold=at_threshold)
    pixels, _, _ = steady_scene(predictor, [0, 1], 160, 2)
    assert np.array_equal(pixels, generated_scene(1, 160, 2)[0])
    with pytest.raises(MaskpsError, match="one of 1 generated scenes"):
        steady_scene(predictor, [0], 160, 2)


def test_a_file_of_the_users_is_not_replaced(small_model: Model, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(b"\x08\x07\x12\x07pytorch")
    with pytest.raises(OutputExistsError, match="another kind"):
        export_network(Predictor(small_model()), path, force=True)
    write_onnx(path, onnx_content(b"", INFO))
    with pytest.raises(OutputExistsError, match="--force"):
        export_network(Predictor(small_model()), path)


def test_an_export_needs_its_packages_and_the_embedding(
    small_model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(ConfigError, match="export f_id"):
        export_network(Predictor(small_model(), feature="pooled"), tmp_path / "model.onnx")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"maskps\[export\]"):
        export_network(Predictor(small_model()), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_a_file_is_an_onnx_model_with_our_metadata(tmp_path: Path) -> None:
    import onnx

    graph = onnx.helper.make_model(onnx.helper.make_graph([], "empty", [], []), producer_name="exporter")
    path = tmp_path / "model.onnx"
    write_onnx(path, onnx_content(graph.SerializeToString(), INFO))
    assert read_onnx(path) == path.read_bytes()
    model = onnx.load(path)
    assert model.producer_name == "exporter" and model.graph.name == "empty"
    entries = {entry.key: entry.value for entry in model.metadata_props}
    assert OnnxInfo.from_metadata(entries, path) == INFO
    assert entries["maskps.resize"] == "antialiased" and "maskps-onnx-001" in entries


def test_text_of_any_length_is_kept(tmp_path: Path) -> None:
    import onnx

    info = dataclasses.replace(INFO, terms="non-commercial é" * 2000)
    entries = {
        entry.key: entry.value for entry in onnx.load_from_string(onnx_content(b"", info)).metadata_props
    }
    assert OnnxInfo.from_metadata(entries, tmp_path) == info


@pytest.mark.parametrize(
    ("changed", "found"),
    [
        (lambda content: b"", "an empty file"),
        (lambda content: b"\x08\x07\x12\x07pytorch" + content, "another kind of file"),
        (lambda content: content.replace(b"onnx-001", b"onnx-002", 1), "version 2"),
        (lambda content: content[:-1], "not those that were written"),
        (lambda content: content[:10], "another kind of file"),
        (lambda content: content[:300] + b"\0" + content[301:], "not those that were written"),
        (lambda content: content.replace(b"maskps.dim\x12\x0232", b"maskps.dim\x12\x0264"), "not those that"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, changed: Callable[[bytes], bytes], found: str) -> None:
    path = tmp_path / "model.onnx"
    content = onnx_content(b"graph" * 100, INFO)
    assert changed(content) != content
    path.write_bytes(changed(content))
    with pytest.raises(InputFileError, match=found):
        OnnxPredictor(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputFileError, match="no such file"):
        OnnxPredictor(tmp_path / "model.onnx")


def test_a_graph_that_onnxruntime_cannot_load_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    write_onnx(path, onnx_content(b"no protocol buffer", INFO))
    with pytest.raises(InputFileError, match="onnxruntime can load"):
        OnnxPredictor(path)


@pytest.mark.parametrize(
    ("key", "value"),
    [("maskps.dim", "wide"), ("maskps.dim", '"3"'), ("maskps.resize", "nearest"), ("maskps.terms", None)],
)
def test_wrong_metadata_are_refused(tmp_path: Path, key: str, value: str | None) -> None:
    entries = {**INFO.to_metadata(), key: value}
    if value is None:
        del entries[key]
    with pytest.raises(InputFileError, match=key):
        OnnxInfo.from_metadata(entries, tmp_path)


@pytest.mark.parametrize("size", [(60, 75), (120, 150), (61, 149), (200, 240), (120, 90)])
@pytest.mark.parametrize(
    ("mode", "largest", "share"), [("antialiased", 1.01 / 255, 0.02), ("torchvision", 4e-6, 0)]
)
def test_pixels_are_those_of_torch(size: tuple[int, int], mode: Any, largest: float, share: float) -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (120, 150, 3), dtype=np.uint8)
    expected, _ = resize_image(image, min(size), max(size), mode)
    actual = resized_pixels(image, (expected.shape[1], expected.shape[2]), mode)
    assert actual.dtype == np.float32
    differences = np.abs(actual - expected.numpy())
    assert differences.max() <= largest and (differences > 4e-6).mean() <= share


def test_the_predictor_of_onnx_files_imports_without_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = sys.modules['torchvision'] = None\n"
        "from maskps.model import OnnxPredictor\nimport maskps.model.onnx_predictor"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
