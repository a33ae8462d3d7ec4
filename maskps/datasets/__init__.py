"""Person-search data sets on disk: readers and writers that meet in `maskps.structures.SceneTable`."""

from maskps.datasets.cuhk_sysu import read_cuhk_sysu
from maskps.datasets.cuhk_sysu_layout import available_protocols
from maskps.datasets.cuhk_sysu_writer import write_cuhk_sysu
from maskps.datasets.open import open_dataset

__all__ = ["available_protocols", "open_dataset", "read_cuhk_sysu", "write_cuhk_sysu"]
