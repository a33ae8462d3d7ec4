"""Tables 1 to 4 of the paper that maskps implements.

Zheng, Xiao, Huang, Zhao, "Segmentation Mask Guided End-to-End Person Search", 2020. mAP and top-1 in percent.
"""

from __future__ import annotations

from dataclasses import dataclass

from maskps_manifest.counts import Counts

TABLE_1_WITH_MASKS = Counts(images=1_833, labeled=2_815, unlabeled=6_269)
"""Table 1: the images of the mask subset. Sec. 3.1 also gives their 9,084 persons."""

TABLE_1_WITHOUT_MASKS = Counts(images=9_373, labeled=12_270, unlabeled=33_918)
"""Table 1: the other images of the training set."""


@dataclass(frozen=True)
class Result:
    """Mean average precision and top-1 accuracy of a method, in percent."""

    method: str
    mean_average_precision: float
    top1: float


TABLE_2 = (
    Result("CNN + DSIFT + Euclidean", 34.5, 39.4),
    Result("CNN + DSIFT + KISSME", 47.8, 53.6),
    Result("CNN + BoW + Cosine", 56.9, 62.3),
    Result("CNN + LOMO + XQDA", 68.9, 74.1),
    Result("CNN_v + MGTS", 83.0, 83.7),
    Result("OIM", 75.5, 78.7),
    Result("IAN (ResNet-50)", 76.3, 80.1),
    Result("NPSM", 77.9, 81.2),
    Result("QEEPS", 84.4, 84.4),
    Result("GCNPS", 84.1, 86.5),
    Result("Ours", 86.3, 86.5),
)
"""Table 2: CUHK-SYSU, gallery size 100. The first five detect and identify separately, the others jointly."""

TABLE_2_SEPARATE = 5
"""The number of rows of Table 2 above the dashed line."""


@dataclass(frozen=True)
class SubsetResult:
    """A row of Table 3: one method on the two test subsets and on all queries."""

    low_resolution: Result
    occlusion: Result
    whole: Result


def _row(method: str, *values: float) -> SubsetResult:
    pairs = zip(values[::2], values[1::2], strict=True)
    return SubsetResult(*(Result(method, precision, top1) for precision, top1 in pairs))


TABLE_3 = (
    _row("E2E-PS (VGGNet)", 46.1, 51.0, 44.3, 45.4, 69.6, 72.9),
    _row("E2E-PS (Res-101)", 47.9, 52.0, 47.7, 48.1, 74.2, 78.1),
    _row("IAN (Res-101)", 52.6, 54.4, 53.0, 54.5, 77.2, 80.4),
    _row("Ours (Res-50)", 66.7, 66.8, 70.8, 71.3, 86.3, 86.5),
)
"""Table 3: 290 low-resolution queries, 187 occluded ones, and all 2,900."""


@dataclass(frozen=True)
class ProportionResult:
    """A column of Table 4: the result with masks in this share of the training images.

    Attributes:
        proportion: alpha; None is "Full", all 1,833 images (16 % of 11,206).
    """

    proportion: float | None
    mean_average_precision: float
    top1: float


TABLE_4 = (
    ProportionResult(0.03, 85.1, 85.2),
    ProportionResult(0.06, 85.3, 85.4),
    ProportionResult(0.09, 85.3, 85.7),
    ProportionResult(0.12, 86.1, 86.1),
    ProportionResult(0.15, 86.3, 86.5),
    ProportionResult(None, 86.3, 86.5),
)
"""Table 4. It has no row without masks, so the paper does not say how much masks help."""
