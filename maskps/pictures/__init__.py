"""Pictures to look at: the mask subset with its targets, and ranked search results. Pillow only."""

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
