"""Pictures of the mask subset, of predicted masks, ranked results and training; plots of a data set."""

from maskps.pictures.rows import mask_pictures, ranking_pictures, subset_pictures
from maskps.pictures.sheets import (
    MaskPicture,
    RankingPicture,
    SubsetPicture,
    mask_sheet,
    ranking_sheet,
    subset_sheet,
)

__all__ = [
    "MaskPicture",
    "RankingPicture",
    "SubsetPicture",
    "mask_pictures",
    "mask_sheet",
    "ranking_pictures",
    "ranking_sheet",
    "subset_pictures",
    "subset_sheet",
]
