"""The data set doctor: everything that is wrong or odd in a data set, found in one run.

core        verify(root): finds the format, runs its checks
tables      checks that all formats share, on the columns as the files give them
protocols   checks of test protocols
integers    boxes in integers that overflow
files       what is wrong with a file that cannot be read
images      the image files
cuhk_sysu, prw, coco    the checks of each format
"""

from maskps.datasets.verify.core import verify

__all__ = ["verify"]
