"""The interface of a box head: from pooled features to scores and boxes."""

from __future__ import annotations

from torch import Tensor, nn


class BoxHead(nn.Module):
    """Scores and boxes of regions.

    Args:
        channels: of f_p.

    Attributes:
        scores_embeddings: whether a score depends on the embedding. If so, every RoI is embedded, in training
            and in detection, and not only persons.
    """

    scores_embeddings = False

    def __init__(self, channels: int) -> None:
        super().__init__()

    def reset_parameters(self) -> None:
        """Starts the layers anew, from torch's default generator."""
        raise NotImplementedError

    def logits(self, pooled: Tensor, embedded: Tensor | None = None) -> Tensor:
        """Returns the logits (R, 2) of background and person.

        Args:
            pooled: f_p (R, C).
            embedded: (R, D), embeddings before they get length 1; given if `scores_embeddings`.
        """
        raise NotImplementedError

    def deltas(self, pooled: Tensor, rows: Tensor | None = None) -> Tensor:
        """Returns the box deltas (R, 4) of f_p (R, C), as `maskps.model.box_deltas.deltas_to` defines them.

        Args:
            rows: (R,) bool; only the deltas of these RoIs. A batch norm sees all R in training.
        """
        raise NotImplementedError
