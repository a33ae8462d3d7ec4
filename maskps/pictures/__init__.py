"""Pictures of the mask subset with its targets, of ranked results and of training; plots of a data set."""

from maskps.pictures.rows import ranking_pictures, subset_pictures
from maskps.pictures.sheets import RankingPicture, SubsetPicture, ranking_sheet, subset_sheet

__all__ = [
    "RankingPicture",
    "SubsetPicture",
    "ranking_pictures",
    "ranking_sheet",
    "subset_pictures",
    "subset_sheet",
]
