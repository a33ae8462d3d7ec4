"""Sizes of PRW: Zheng, Zhang, Sun, Chandraker, Yang, Tian, "Person Re-identification in the Wild", 2017.

Images, queries and training identities as published. Persons as counted in the annotation files, in the
COCO form of daodaofr/AlignPS.
"""

from __future__ import annotations

from maskps_manifest.counts import Counts

IMAGES = 11_816

TRAIN = Counts(images=5_704, labeled=14_907, unlabeled=3_141)

TEST = Counts(images=6_112, labeled=19_127, unlabeled=5_935)

TRAIN_IDENTITIES = 483

QUERIES = 2_057
"""Lines of query_info.txt."""

TERMS = "its authors name no licence; ask them before any use but research"
"""README of liangzheng06/PRW-baseline and the page of the data set ask for a citation, and say no more."""
