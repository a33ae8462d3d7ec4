"""Online instance matching: the identification loss, Eqs. (3) to (5)."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from maskps.losses.image_means import image_mean_weights, images_of_rows
from maskps.structures import BACKGROUND_PID, UNLABELED_PID

_MANY_PASSES = 100
"""Forward passes without a commit that are more than one step of the optimiser is likely to have."""


class OIMLoss(nn.Module):
    """Matches embeddings against a table of the labeled persons and a queue of the unlabeled ones.

    The state lives in buffers, so it is part of the state dict:

    - `lookup_table` (N, D) float32: row i - 1 holds the L2-normalised embedding of pid i (v in Eq. (3));
    - `circular_queue` (Q, D) float32: the latest Q embeddings of unlabeled persons (u in Eq. (3));
    - `queue_position` () int64: the slot that is written next.

    Rows and slots that were never written are zero vectors. They take part in Eq. (3) with logit 0, as in
    the release (Xiao et al. 2017).

    **Only `commit` moves the state.** In training mode `forward` remembers the embeddings that it saw;
    `commit` moves table and queue by all of them. Call it once per step of the optimiser. Every forward pass
    of a step then sees the state from before the step, whether its images come in one batch, in several or in
    several processes:

        loss = oim(embeddings, pids)
        loss.backward()
        optimizer.step()
        oim.commit()

    Without the last line the table stays empty and the remembered embeddings pile up; `forward` warns of it.

    Args:
        num_pids: N; labeled pids are 1..N.
        dim: D, length of an embedding.
        queue_length: Q. The paper does not state it; 5000 is the release's for CUHK-SYSU. 0 turns it off.
        temperature: tau in Eq. (3). The paper does not state it; 0.1 is the release's (its "scale 10").
        momentum: beta in Eq. (4); 0.5 as in the release.
    """

    lookup_table: Tensor
    circular_queue: Tensor
    queue_position: Tensor

    def __init__(
        self,
        num_pids: int,
        dim: int = 256,
        queue_length: int = 5000,
        temperature: float = 0.1,
        momentum: float = 0.5,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.momentum = momentum
        self.register_buffer("lookup_table", torch.zeros(num_pids, dim))
        self.register_buffer("circular_queue", torch.zeros(queue_length, dim))
        self.register_buffer("queue_position", torch.zeros((), dtype=torch.int64))
        self._pending: list[tuple[Tensor, Tensor]] = []

    def forward(self, embeddings: Tensor, pids: Tensor, counts: Sequence[int] | None = None) -> Tensor:
        """Returns the mean over images of each image's mean of -log p_id, Eqs. (3) and (5), a scalar.

        An image's mean is over its labeled embeddings; an image without any counts as 0. In training mode
        embeddings and pids are remembered until `commit`. The loss is float32, also under autocast.

        Args:
            embeddings: (R, D) float, L2-normalised.
            pids: (R,) int64; 1..N labeled, `UNLABELED_PID` unlabeled (go to the queue only),
                `BACKGROUND_PID` ignored.
            counts: how many of the R rows belong to each image of the batch, in their order; 0 for an image
                without persons. None: all are of one image.

        Returns:
            A zero with a gradient (of zeros) when no embedding is labeled; cross entropy alone gives NaN.
        """
        with torch.autocast(embeddings.device.type, enabled=False):
            embeddings = embeddings.to(self.lookup_table.dtype)
            is_labeled = pids > BACKGROUND_PID
            # `cat` copies, so a commit before backward() does no harm.
            prototypes = torch.cat([self.lookup_table, self.circular_queue])
            logits = embeddings[is_labeled] @ prototypes.T / self.temperature
            values = F.cross_entropy(logits, pids[is_labeled] - 1, reduction="none")
            counts = [len(pids)] if counts is None else counts
            images = images_of_rows(counts, pids.device)[is_labeled]
            loss = (values * image_mean_weights(images, len(counts))).sum()
        if self.training:
            self._remember(embeddings.detach(), pids)
        return loss

    def _remember(self, embeddings: Tensor, pids: Tensor) -> None:
        self._pending.append((embeddings, pids))
        if len(self._pending) == _MANY_PASSES:
            warnings.warn(
                f"OIMLoss has seen {_MANY_PASSES} forward passes without a commit: its table does not move, "
                "and it keeps all their embeddings. Call commit() once after each step of the optimiser.",
                stacklevel=3,
            )

    def wrong_position(self) -> str:
        """Returns what is wrong with the position in the queue, after loading; "" if it is in the queue."""
        length, position = len(self.circular_queue), int(self.queue_position)
        return "" if 0 <= position < max(1, length) else f"queue position {position} in a queue of {length}"

    def take_pending(self) -> list[tuple[Tensor, Tensor]]:
        """Returns embeddings (R, D) and pids (R,) of each pass since the last commit, and forgets them."""
        pending, self._pending = self._pending, []
        return pending

    @torch.no_grad()
    def commit(self, passes: Sequence[tuple[Tensor, Tensor]] | None = None) -> None:
        """Moves the rows of the labeled pids towards their embeddings, and queues the unlabeled ones.

        Eq. (4), and then each row is L2-normalised again, as Xiao et al. write. (Their released Caffe code
        does not do so, and its GPU queue keeps 64 of the 256 numbers; we follow neither.) Several embeddings
        of one pid are applied one after the other in the order given, as in the release.

        Args:
            passes: embeddings (R, D) and pids (R,) of each pass, as `take_pending` returns them, perhaps from
                several processes. None: those that this module has remembered.
        """
        for embeddings, pids in self.take_pending() if passes is None else passes:
            embeddings = embeddings.to(self.lookup_table)
            pids = pids.to(embeddings.device)
            self._update_table(embeddings, pids)
            self._push(embeddings[pids == UNLABELED_PID])

    def _update_table(self, embeddings: Tensor, pids: Tensor) -> None:
        # Different pids are independent: round k takes the k-th embedding of every pid at once.
        chosen = torch.where(pids > BACKGROUND_PID)[0]
        if len(chosen) == 0:
            return
        chosen = chosen[torch.argsort(pids[chosen], stable=True)]
        rows = pids[chosen] - 1
        _, counts = torch.unique_consecutive(rows, return_counts=True)
        firsts = torch.cumsum(counts, 0) - counts
        occurrence = torch.arange(len(rows), device=rows.device) - torch.repeat_interleave(firsts, counts)
        by_round = torch.argsort(occurrence, stable=True)
        for members in by_round.split(torch.bincount(occurrence).tolist()):
            row = rows[members]
            mixed = self.momentum * self.lookup_table[row] + (1 - self.momentum) * embeddings[chosen[members]]
            self.lookup_table[row] = F.normalize(mixed, dim=1)

    def _push(self, unlabeled: Tensor) -> None:
        length = len(self.circular_queue)
        if length == 0 or len(unlabeled) == 0:
            return
        kept = unlabeled[-length:]
        offsets = torch.arange(len(unlabeled) - len(kept), len(unlabeled), device=unlabeled.device)
        self.circular_queue[(self.queue_position + offsets) % length] = kept
        self.queue_position.copy_((self.queue_position + len(unlabeled)) % length)
