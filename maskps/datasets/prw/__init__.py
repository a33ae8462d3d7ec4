"""PRW as released: `frame_train.mat`, `annotations/*.mat`, `query_info.txt`, `frames`.

files      the files as columns
reader     the data set, as `maskps.structures` describes it
writer     the same files, written
checks     what `verify` checks in this format only; check_queries: query_info.txt
"""
