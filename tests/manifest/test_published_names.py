"""The published names of CUHK-SYSU, against lists measured on real files."""

from __future__ import annotations

from pathlib import Path

from maskps.protocols import read_protocol
from maskps_manifest import cuhk_sysu


def test_there_are_as_many_names_as_images() -> None:
    names = cuhk_sysu.scene_names()
    assert len(set(names)) == len(names) == cuhk_sysu.IMAGES
    assert (names[0], names[-1]) == ("s1.jpg", "s18204.jpg")
    assert not {"s6334.jpg", "s6353.jpg"} & set(names)
    assert {"s6333.jpg", "s6354.jpg"} < set(names)


def test_the_order_of_names_does_not_change_their_checksum() -> None:
    assert cuhk_sysu.names_sha256(["b", "a"]) == cuhk_sysu.names_sha256(["a", "b"])
    assert cuhk_sysu.names_sha256(["a", "b"]) != cuhk_sysu.names_sha256(["a", "c"])


def test_the_checksums_are_those_of_the_real_lists(real_data: Path) -> None:
    train = (real_data / "cuhk_sysu" / "train_names.txt").read_text().split()
    test = read_protocol(real_data / "cuhk_sysu" / "TestG100.mat").image_names.tolist()
    assert cuhk_sysu.names_sha256(train) == cuhk_sysu.TRAIN_NAMES_SHA256
    assert cuhk_sysu.names_sha256(test) == cuhk_sysu.TEST_NAMES_SHA256
    assert sorted(train + test) == sorted(cuhk_sysu.scene_names())
