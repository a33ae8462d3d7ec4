"""The multi-task loss, Eq. (7)."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from maskps.errors import ConfigError

ROI_LOSS_NAMES = ("loss_rcnn_cls", "loss_rcnn_reg", "loss_id", "loss_mask")
"""Those of everything behind the proposals."""

LOSS_NAMES = ("loss_rpn_cls", "loss_rpn_reg", *ROI_LOSS_NAMES)
"""The "6 losses" of Sec. 4.2, in the order of Eq. (7)."""


FIRST_HEAD_LOSS_NAMES = ("loss_first_cls", "loss_first_reg")
"""L_RCNN of the first of two heads (SeqNet); a network with one head does not have them."""


def total_loss(losses: Mapping[str, Tensor], weights: Mapping[str, float] | None = None) -> Tensor:
    """Returns L_RPN + L_RCNN + L_identification + lambda L_mask, Eq. (7), a scalar.

    The rule "lambda = 1 when the input image contains labeled segmentation masks, otherwise 0" is already in
    `loss_mask`: `maskps.losses.mask.batch_mask_loss` counts images without masks as 0. The weight given here
    multiplies lambda: {"loss_mask": 0.0} trains without masks, everything else equal.

    Args:
        losses: scalars by name: those of `LOSS_NAMES`, and of a first head those of `FIRST_HEAD_LOSS_NAMES`.
        weights: factors for some of them; 1 for the others, as in the paper.

    Raises:
        ConfigError: a weight for a loss that does not exist.
    """
    weights = weights or {}
    if unknown := sorted(set(weights) - set(losses)):
        raise ConfigError(
            "loss weights", expected=f"names among {', '.join(losses)}", found=", ".join(unknown)
        )
    assert set(losses) - set(FIRST_HEAD_LOSS_NAMES) == set(LOSS_NAMES), f"losses are {sorted(losses)}"
    first, *others = [loss * weights.get(name, 1.0) for name, loss in losses.items()]
    return sum(others, start=first)
