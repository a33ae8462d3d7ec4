"""A network in an ONNX file as functions of an image: `Predictor` without torch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from maskps.errors import ConfigError, InputFileError, MaskpsError
from maskps.model.onnx_file import OnnxInfo, read_onnx
from maskps.model.prediction import Feature, ImageDetections, ImagePredictor, Resize, resized_size

INPUTS = ["image", "given"]
OUTPUTS = ["boxes", "scores", "embeddings", "given_embeddings"]
"""Names in the graph; see `ExportGraph.forward`."""


class OnnxPredictor(ImagePredictor):
    """Detects persons, and embeds given boxes, in images of any size, by a file of `maskps export`.

    Runs onnxruntime on the CPU. Detections and embeddings are those of `Predictor` up to rounding.

    Args:
        path: the file.
        unit_length: as `Predictor`.
        threads: how many onnxruntime uses; 0: as many as there are cores.

    Attributes:
        info: what the file says about its network.
        weights, dim, recipe, terms: as `Predictor`.

    Raises:
        InputFileError: no such file, not one of `maskps export`, one of a newer version, or damaged.
        ConfigError: onnxruntime is not installed.
    """

    engine = "onnxruntime"
    feature: Feature = "embedding"

    def __init__(self, path: Path | str, *, unit_length: bool = True, threads: int = 0) -> None:
        self.path = Path(path)
        self._session = open_session(read_onnx(self.path), self.path, threads=threads)
        metadata = self._session.get_modelmeta().custom_metadata_map
        self.info = OnnxInfo.from_metadata(metadata, self.path)
        super().__init__(
            self.info.shorter_side,
            self.info.longest_side,
            resize=self.info.resize,
            unit_length=unit_length,
            weigh_by_score=self.info.weigh_by_score and unit_length,  # as build_predictor
        )
        self.weights, self.dim = self.info.weights, self.info.dim
        self.recipe, self.terms = self.info.recipe, self.info.terms

    def detect(self, image: NDArray[np.uint8]) -> ImageDetections:
        """Returns the persons in an image (H, W, 3) uint8 RGB."""
        return self.detect_and_embed(image, np.zeros((0, 4), dtype=np.float32))[0]

    def embed(self, image: NDArray[np.uint8], boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Returns the (n, D) float32 embeddings of persons at known boxes; arguments as `Predictor.embed`.

        The graph detects persons at the same time, so this takes as long as `detect_and_embed`.
        """
        return self.detect_and_embed(image, boxes)[1]

    def detect_and_embed(
        self, image: NDArray[np.uint8], boxes: NDArray[np.float32]
    ) -> tuple[ImageDetections, NDArray[np.float32]]:
        """Returns the results of `detect` and `embed`, from one pass."""
        height, width = image.shape[:2]
        size = resized_size(height, width, self.shorter_side, self.longest_side, self.resize)
        scale = (size[1] / width, size[0] / height)
        found, given = run_graph(
            self._session, resized_pixels(image, size, self.resize), self.to_resized(boxes, scale)
        )
        return self.in_original(found, scale, image), self.features(given)


def open_session(content: bytes, path: Path, *, threads: int = 0) -> Any:
    """Returns onnxruntime's session for the content of the file `path`; arguments as `OnnxPredictor`."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ConfigError(
            "onnxruntime",
            expected="the package onnxruntime, which runs ONNX files",
            found="it is not installed",
            hint="pip install 'maskps[onnx]'",
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors
    try:
        return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's errors have no common class of their own
        raise InputFileError(
            path,
            expected="a graph that onnxruntime can load",
            found=str(error)[:200],
            hint="install a newer onnxruntime",
        ) from error


def run_graph(
    session: Any, pixels: NDArray[np.float32], given: NDArray[np.float32]
) -> tuple[ImageDetections, NDArray[np.float32]]:
    """Returns the detections in pixels of the resized image, and the embeddings (n, D) of given boxes.

    Args:
        session: of `open_session`.
        pixels: (3, h, w) float32, RGB in 0..1, resized.
        given: (n, 4) float32, xyxy, pixels of the resized image; n may be 0.

    Raises:
        MaskpsError: onnxruntime cannot run the graph on this image.
    """
    try:
        boxes, scores, embeddings, of_given = session.run(
            OUTPUTS, dict(zip(INPUTS, (pixels, given), strict=True))
        )
    except Exception as error:  # as in `open_session`
        raise MaskpsError(
            "the ONNX graph",
            expected=f"to run on an image of {pixels.shape[2]} x {pixels.shape[1]} pixels",
            found=str(error)[:200],
            hint="more memory, or the onnxruntime release that docs/export.md names",
        ) from error
    found = scores >= 0
    return ImageDetections(boxes[found], scores[found], embeddings[found]), of_given


def resized_pixels(image: NDArray[np.uint8], size: tuple[int, int], mode: Resize) -> NDArray[np.float32]:
    """Returns an image as (3, h, w) float32 in 0..1; size is (h, w).

    As `resize_image`. With "antialiased", of which Pillow has an implementation of its own, numbers differ by
    at most 1/255.
    """
    if mode == "torchvision":
        pixels = image.astype(np.float32) / np.float32(255)
        for axis, length in enumerate(size):
            pixels = _interpolated(pixels, length, axis)
    else:
        shape = (size[1], size[0])
        resized = Image.fromarray(np.ascontiguousarray(image)).resize(shape, Image.Resampling.BILINEAR)
        pixels = np.asarray(resized).astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def _interpolated(pixels: NDArray[np.float32], length: int, axis: int) -> NDArray[np.float32]:
    """Returns the image with `length` lines along an axis: linear between the centres of the old ones."""
    old = pixels.shape[axis]
    # In float32, as torch: for large images its rounding shows in the pixels.
    centers = np.arange(length, dtype=np.float32) + np.float32(0.5)
    points = np.maximum(centers * (np.float32(old) / np.float32(length)) - np.float32(0.5), 0)
    low = np.minimum(points.astype(np.int64), old - 1)
    shape = [-1 if one == axis else 1 for one in range(pixels.ndim)]
    share = (points - low.astype(np.float32)).reshape(shape)
    first, second = pixels.take(low, axis), pixels.take(np.minimum(low + 1, old - 1), axis)
    return first * (1 - share) + second * share
