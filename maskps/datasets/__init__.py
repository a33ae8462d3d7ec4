"""Person-search data sets on disk: readers and writers that meet in `maskps.structures.SceneTable`.

open            open_dataset(path): finds the format and opens the data set
protocols       open_protocol(dataset, name): TestG100, Occlusion, ..., PRW's "all"
convert         writes a data set in another format
cut             writes a part of a data set
copies          what these two share: write, read back, compare (compare), place the images
verify          everything that is wrong or odd in a data set
formats         the table of formats; dataset_format: what a format provides
cuhk_sysu, prw, coco    the formats: reader, writer, checks, and their row of the table (format)
checks          the checks that all formats share
naming          what a data set may be called
unreadable      why a file cannot be read
cache, parsed   parsed annotation in the user's cache folder
matching        equal boxes of two lists
"""

from maskps.datasets.cuhk_sysu.layout import available_protocols
from maskps.datasets.cuhk_sysu.reader import read_cuhk_sysu
from maskps.datasets.cuhk_sysu.writer import write_cuhk_sysu
from maskps.datasets.open import open_dataset

__all__ = ["available_protocols", "open_dataset", "read_cuhk_sysu", "write_cuhk_sysu"]
