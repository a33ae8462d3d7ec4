"""PRW as released: `frame_train.mat`, `annotations/*.mat`, `query_info.txt`, `frames`.

format     the row of the table of formats
files      reads the files into columns
reader     reads the data set and its protocol
writer     writes the files
checks     the checks of this format; check_queries: of query_info.txt
"""
