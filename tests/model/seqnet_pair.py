"""The oracle of SeqNet and our network with the same weights, and how far apart their results are."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from seqnet_oracle import SeqNetOracle, random_oracle
from torch import Tensor

from maskps.model.build import build_model, build_predictor
from maskps.model.network import IMAGE_MEAN, IMAGE_STD, MaskGuidedPersonSearch
from maskps.model.seqnet_weights import read_seqnet_state
from maskps.training import TrainConfig
from maskps.training.imported import SEQNET_SETTINGS

TABLE, QUEUE = 7, 5


@dataclass(frozen=True)
class Differences:
    """The largest absolute differences of two networks on an image.

    Attributes:
        detections: how many each of them has.
        boxes: pixels; infinite if the numbers of detections differ.
        scores, embeddings: of the detections; as `boxes`.
        given: embeddings of given boxes.
    """

    detections: tuple[int, int]
    boxes: float
    scores: float
    embeddings: float
    given: float


@dataclass(frozen=True)
class SeqNetPair:
    """Two networks of the same weights, in evaluation mode.

    Attributes:
        oracle: theirs, composed of torchvision's parts.
        network: ours, with the oracle's state dict read as that of a file.
        config: our settings.
    """

    oracle: SeqNetOracle
    network: MaskGuidedPersonSearch
    config: TrainConfig

    @classmethod
    def random(
        cls, seed: int, *, min_size: int, max_size: int, proposals: int, last_norms: float = 1.0
    ) -> SeqNetPair:
        """Returns a pair with random weights; arguments as of `random_oracle`."""
        oracle = random_oracle(
            seed,
            TABLE,
            QUEUE,
            min_size=min_size,
            max_size=max_size,
            proposals=proposals,
            last_norms=last_norms,
        )
        sizes = {
            "shorter_side": min_size,
            "longest_side": max_size,
            "rpn_post_nms_top_n_test": proposals,
            "oim_queue_length": QUEUE,
        }
        config = TrainConfig(**{**SEQNET_SETTINGS, **sizes, "pretrained": "none"})
        network = build_model(config, TABLE)
        own = network.state_dict()
        weights = read_seqnet_state(oracle.state_dict(), own, where=Path("random"))
        network.load_state_dict({**own, **weights.state})
        return cls(oracle, network.eval(), config)

    def with_sides(self, min_size: int, max_size: int) -> SeqNetPair:
        """Returns the pair with images of these sides; the oracle is the same object."""
        self.oracle.transform.min_size, self.oracle.transform.max_size = (min_size,), max_size
        sides = {"shorter_side": min_size, "longest_side": max_size}
        return replace(self, config=replace(self.config, **sides))

    def double(self) -> SeqNetPair:
        """Makes both networks float64."""
        self.oracle.double()
        self.network.double()
        for name, value in (("image_mean", IMAGE_MEAN), ("image_std", IMAGE_STD)):
            setattr(self.network, name, torch.tensor(value, dtype=torch.float64)[:, None, None])
        return self

    def of_images(self, image: Tensor, boxes: Tensor) -> Differences:
        """Returns the differences on an image of (3, H, W) uint8, from its file to the similarity.

        Our side is the predictor that `maskps eval` uses. In float32.
        """
        predictor = build_predictor(self.config, self.network, "cpu")
        pixels = image.permute(1, 2, 0).contiguous().numpy()
        found, given = predictor.detect_and_embed(pixels, boxes.numpy())
        floats = image.float() / 255
        theirs = self.oracle.gallery(floats)
        ours = [torch.from_numpy(np.asarray(one)) for one in (found.boxes, found.scores, found.embeddings)]
        return _differences(ours, theirs, torch.from_numpy(given), self.oracle.query(floats, boxes))

    @torch.no_grad()
    def of_networks(self, image: Tensor, boxes: Tensor) -> Differences:
        """Returns the differences of the networks alone: no image is resized, no embedding weighted.

        Args:
            image: (3, H, W), 0..1, in the dtype of the networks.
            boxes: (n, 4), likewise.
        """
        self.with_sides(min(image.shape[1:]), max(image.shape[1:]))
        (found,) = self.network([image])
        (given,) = self.network.embed_boxes([image], [boxes])
        theirs = self.oracle.gallery(image, score_weighted=False)
        ours = [found.boxes, found.scores, found.embeddings]
        return _differences(ours, theirs, given, self.oracle.query(image, boxes))


def _differences(
    ours: list[Tensor], theirs: tuple[Tensor, ...], given: Tensor, wanted: Tensor
) -> Differences:
    counts = (len(ours[0]), len(theirs[0]))
    of_found = [
        (own - other).abs().max().item() if counts[0] == counts[1] else float("inf")
        for own, other in zip(ours, theirs, strict=True)
    ]
    return Differences(counts, *of_found, (given - wanted).abs().max().item())
