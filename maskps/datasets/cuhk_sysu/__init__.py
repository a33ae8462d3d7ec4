"""CUHK-SYSU as released: `annotation/*.mat` and `Image/SSM`.

layout     where the files are
raw        Images.mat as columns
reader     the data set, as `maskps.structures` describes it
writer     the same files, written
checks     what `verify` checks in this format only, with its `check_*` modules
"""
