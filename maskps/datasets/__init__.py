"""Person-search data sets on disk: readers and writers that meet in `maskps.structures.SceneTable`.

open            open_dataset(path): finds the format, and answers from the cache
protocols       open_protocol(dataset, name): TestG100, Occlusion, ..., PRW's "all"
convert         a data set in another format, read back and compared (compare)
verify          everything that is wrong or odd in a data set, in one run; checks: those of all formats
cuhk_sysu, prw, coco    the three formats: reader, writer, checks, and what only they know
naming          what a data set may be called
unreadable      what is wrong with a file that cannot be read
cache, parsed   parsed annotation in the user's cache folder
matching        equal boxes of two lists
"""

from maskps.datasets.cuhk_sysu.layout import available_protocols
from maskps.datasets.cuhk_sysu.reader import read_cuhk_sysu
from maskps.datasets.cuhk_sysu.writer import write_cuhk_sysu
from maskps.datasets.open import open_dataset

__all__ = ["available_protocols", "open_dataset", "read_cuhk_sysu", "write_cuhk_sysu"]
