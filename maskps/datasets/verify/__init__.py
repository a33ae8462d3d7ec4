"""The data set doctor: everything that is wrong or odd in a data set, found in one run.

core        verify(root): finds the format, runs its checks
tables      checks that all formats share, on the columns as the files give them
files       what is wrong with a file that cannot be read
images      the image files
cuhk_sysu, prw, coco    the checks of each format
"""
