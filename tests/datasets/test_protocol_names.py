"""Protocols by name, for every format."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from maskps.datasets import read_cuhk_sysu
from maskps.datasets.coco.reader import read_coco
from maskps.datasets.coco.writer import write_coco
from maskps.datasets.protocols import open_protocol, protocol_names, protocol_of_size
from maskps.errors import ConfigError


def test_cuhk_sysu_has_those_whose_files_are_there(root: Path) -> None:
    dataset = read_cuhk_sysu(root)
    assert protocol_names(dataset) == ("TestG2", "TestG3", "Occlusion", "Resolution")
    assert open_protocol(dataset, "TestG3").gallery_size == 3
    assert open_protocol(dataset, "Occlusion").num_queries == 1
    assert protocol_of_size(dataset, 3) == "TestG3"
    with pytest.raises(ConfigError, match="one of TestG2, TestG3, Occlusion, Resolution"):
        protocol_of_size(dataset)


def test_coco_has_what_its_file_holds(small: Any, root: Path, tmp_path: Path) -> None:
    write_coco(tmp_path / "coco", read_cuhk_sysu(root), {"mine": small.protocols["TestG2"]})
    dataset = read_coco(tmp_path / "coco")
    assert protocol_names(dataset) == ("mine",)
    assert protocol_of_size(dataset) == "mine"
    assert open_protocol(dataset, "mine").query_ids.tolist() == ["p3", "p44"]


@pytest.mark.parametrize(
    ("names", "usual"), [(("TestG50", "TestG100", "all"), "all"), (("TestG50", "TestG100"), "TestG100")]
)
def test_the_usual_protocol_is_all_else_that_of_100_images(
    names: tuple[str, ...], usual: str, small: Any, root: Path, tmp_path: Path
) -> None:
    write_coco(tmp_path / "coco", read_cuhk_sysu(root), dict.fromkeys(names, small.protocols["TestG2"]))
    assert protocol_of_size(read_coco(tmp_path / "coco")) == usual


def test_coco_with_prws_query_file_has_prws_protocol(root: Path, tmp_path: Path) -> None:
    write_coco(tmp_path / "coco", read_cuhk_sysu(root), {})
    (tmp_path / "coco" / "query_info.txt").write_bytes(b"3 10 20 30 90 s9\r\n")
    dataset = read_coco(tmp_path / "coco")
    assert protocol_names(dataset) == ("all",)
    assert protocol_of_size(dataset) == "all"
    protocol = open_protocol(dataset, "all")
    assert protocol.num_queries == 1 and protocol.gallery_size == 3


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("testg3", "is it 'TestG3'"),
        ("x", "TestG2, TestG3, Occlusion"),
        ("TestG77", "a gallery size that the data set has: 2, 3"),
    ],
)
def test_an_unknown_name_is_an_error_with_the_known_ones(root: Path, name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        open_protocol(read_cuhk_sysu(root), name)


def test_a_data_set_without_protocols_says_so(root: Path, tmp_path: Path) -> None:
    write_coco(tmp_path / "coco", read_cuhk_sysu(root), {})
    dataset = read_coco(tmp_path / "coco")
    assert protocol_names(dataset) == ()
    with pytest.raises(ConfigError, match="a data set with test protocols"):
        open_protocol(dataset, "TestG100")
