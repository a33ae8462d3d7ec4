"""Sizes of CUHK-SYSU, as published and as counted in its released files.

A letter at each number gives its source:
    R  README.txt of the data set (Xiao et al., "End-to-End Deep Learning for Person Search", 2016)
    P  Table 1 of the paper that maskps implements (see `paper`); its sums agree with C
    C  docstring of lib/data/ssm.py in deepalchemist/deep-person-search, without boxes of zero size
    M  measured on the released TestG100.mat
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from maskps_manifest.counts import Counts

IMAGES = 18_184
"""R. Of both splits."""

TRAIN = Counts(images=11_206, labeled=15_085, unlabeled=40_187)
"""R for the images; P and C for the persons."""

TEST = Counts(images=6_978, labeled=8_345, unlabeled=32_526)
"""R for the images; C for the persons. M: 8,345 different boxes of queries and galleries."""

TRAIN_IDENTITIES = 5_532
"""R. Rows of Train.mat, and so of OIM's look-up table."""

TRAIN_IMAGES_WITHOUT_LABELED = 1_490
"""C. Training images that show unlabeled persons only."""

TRAIN_APPEARANCES = 15_088
"""C. Entries of Train.mat. Three of them are duplicates or match no box, so 15,085 persons are labeled."""

TERMS = "its authors give it out for academic use only"
"""README of ShuangLI59/person_search: "Request the dataset from ... (academic only)"."""

QUERIES = 2_900
"""R. The same queries in the same order in all six TestG files, one per test identity."""

GALLERY_SIZES = (50, 100, 500, 1000, 2000, 4000)
"""R. TestG50.mat ... TestG4000.mat. Published tables use 100."""

SUBSET_GALLERY_SIZE = 100
"""Gallery size of both test subsets, from the readers of whbdmu/SEAS and LukeJaffe/GFN."""

OCCLUSION_QUERIES = 187
"""R. Occlusion.mat, variable Occlusion1."""

RESOLUTION_QUERIES = 290
"""R. Resolution.mat, variable Test_Size."""

FIRST_NUMBER, LAST_NUMBER = 1, 18_204
"""Images are s1.jpg ... s18204.jpg. Measured on the published training and test names."""

MISSING_NUMBERS = range(6_334, 6_354)
"""The only gap: s6334.jpg ... s6353.jpg do not exist. Measured in the same way."""

TRAIN_NAMES_SHA256 = "4bb1ede494f8fea9cb5920cf969ca5704d46248f029666b79fa2a4058a8a6c59"
"""Of the 11,206 names of training images, as `names_sha256`. From a list in Zhongdao/Towards-Realtime-MOT."""

TEST_NAMES_SHA256 = "35d369d80b6cc1e12c9f41d5ef844ff3503885a33d260740119c8743924be678"
"""M. Of the 6,978 names of test images, in the same way."""

LONGEST_SIDE = 800
"""Pixels, width or height of every image, as published samples and the boxes of M show."""


def scene_names() -> list[str]:
    """Returns the names of all 18,184 images, by number."""
    numbers = range(FIRST_NUMBER, LAST_NUMBER + 1)
    return [f"s{number}.jpg" for number in numbers if number not in MISSING_NUMBERS]


def published_names() -> frozenset[str]:
    """Returns the file names of all images, of both splits."""
    numbers = range(FIRST_NUMBER, LAST_NUMBER + 1)
    return frozenset(f"s{number}.jpg" for number in numbers if number not in MISSING_NUMBERS)


def names_sha256(names: Iterable[str]) -> str:
    """Returns the sha256 (hex) of names, sorted as text and joined by line feeds."""
    return hashlib.sha256("\n".join(sorted(names)).encode("utf-8")).hexdigest()


@dataclass(frozen=True)
class ProtocolCounts:
    """The counts of a test protocol.

    Attributes:
        queries: number of queries.
        query_images: distinct scenes of queries.
        gallery_images: distinct scenes in galleries.
        gallery_size: length of every gallery.
        truths: true boxes of all queries.
        truths_per_query: how many queries have 1, 2, ... true boxes.
        doubled_images: (query, scene) of a scene that the query's gallery lists twice.
        own_images: (query, scene) of a query whose own scene is in its gallery.
        free_hit: the query among them whose own box counts as a true one.
    """

    queries: int
    query_images: int
    gallery_images: int
    gallery_size: int
    truths: int
    truths_per_query: tuple[int, ...]
    doubled_images: tuple[tuple[int, str], ...]
    own_images: tuple[tuple[int, str], ...]
    free_hit: int


TEST_G100 = ProtocolCounts(
    queries=2_900,
    query_images=2_725,
    gallery_images=6_978,
    gallery_size=100,
    truths=5_447,
    truths_per_query=(1501, 804, 341, 135, 48, 28, 16, 9, 9, 2, 4, 1, 2),
    doubled_images=((1250, "s3981.jpg"), (1633, "s11888.jpg"), (1997, "s5957.jpg"), (2561, "s12295.jpg")),
    own_images=((493, "s14430.jpg"), (2132, "s888.jpg")),
    free_hit=2132,
)
"""M. The oddities are part of the protocol. Every published result includes them."""
