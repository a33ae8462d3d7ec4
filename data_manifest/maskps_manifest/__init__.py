"""Published numbers of the field as data, each with its source.

    cuhk_sysu   sizes of CUHK-SYSU, its test protocols and subsets
    prw         sizes of PRW
    paper       Tables 1 to 4 of "Segmentation Mask Guided End-to-End Person Search" (2020)

maskps computes none of these numbers. The synthetic set of scale "cuhk-sysu" has these counts, and tests
compare our results with them.
"""
