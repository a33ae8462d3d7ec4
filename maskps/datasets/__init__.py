"""Person-search data sets on disk: readers and writers that meet in `maskps.structures.SceneTable`.

open            open_dataset(path): finds the format, and answers from the cache
protocols       open_protocol(dataset, name): TestG100, Occlusion, ..., PRW's "all"
convert         a data set in another format, read back and compared (compare)
verify          the doctor
cuhk_sysu, prw, coco    the three formats: reader, `_writer`, and what only they know
cache, parsed   parsed annotation in the user's cache folder
matching        equal boxes of two lists
"""

from maskps.datasets.cuhk_sysu import read_cuhk_sysu
from maskps.datasets.cuhk_sysu_layout import available_protocols
from maskps.datasets.cuhk_sysu_writer import write_cuhk_sysu
from maskps.datasets.open import open_dataset

__all__ = ["available_protocols", "open_dataset", "read_cuhk_sysu", "write_cuhk_sysu"]
