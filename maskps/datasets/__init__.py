"""Person-search data sets on disk: readers and writers that meet in `maskps.structures.SceneTable`.

    open_dataset(path)        maskps.datasets.open        finds the format and reads it
    read_cuhk_sysu(root)      maskps.datasets.cuhk_sysu   CUHK-SYSU as released
    write_cuhk_sysu(root)     maskps.datasets.cuhk_sysu   the same files from tables of one's own
    protocol_path(root)       maskps.datasets.cuhk_sysu   where a test protocol lies

Nothing is imported here: `maskps.evaluation.protocol` uses `maskps.datasets.mat`, and `cuhk_sysu` uses the
protocol, so that a package that imported its modules would import itself.
"""
