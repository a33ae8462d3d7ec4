"""CUHK-SYSU as released: `annotation/*.mat` and `Image/SSM`.

format     the row of the table of formats
layout     where the files are
raw        reads Images.mat, pool.mat and Train.mat into columns
reader     reads the data set
writer     writes the files
checks     the checks of this format, with the `check_*` modules
"""
