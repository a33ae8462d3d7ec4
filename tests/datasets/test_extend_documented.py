"""docs/extend/dataset.md: a format made of the code printed there works in every part that uses the table."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from maskps.datasets import open_dataset
from maskps.datasets.convert import convert
from maskps.datasets.copies import target_kinds
from maskps.datasets.dataset_format import DatasetFormat
from maskps.datasets.formats import FORMATS, find_format
from maskps.datasets.naming import data_name
from maskps.datasets.protocols import open_protocol, protocol_names
from maskps.datasets.verify import verify
from maskps.errors import ConfigError, InputFileError

PAGE = Path(__file__).resolve().parents[2] / "docs" / "extend" / "dataset.md"

TEST_ROWS = """\
image,x,y,width,height,person,query
street_003.jpg,10,20,30,90,carl,1
street_003.jpg,100,20,30,90,,0
street_004.jpg,50,60,40,100,carl,0
street_005.jpg,50.5,60,40,100.25,dora,0
"""

pytestmark = pytest.mark.usefixtures("cache_folder")


def blocks_of_page() -> tuple[str, str, str]:
    """The printed table, the module, and the row."""
    text = PAGE.read_text(encoding="utf-8")
    file, row = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    table = re.search(r"^    image,x,y.*?\n\n", text, re.DOTALL | re.MULTILINE)
    assert table is not None
    return "".join(f"{line.strip()}\n" for line in table.group().splitlines() if line), file, row


@pytest.fixture
def csv_root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data set in the format of the page, which the table of formats has."""
    table, file, row = blocks_of_page()
    added: dict[str, DatasetFormat] = {}
    names: dict[str, Any] = {"FORMATS": added}
    exec(file, names)
    exec(row, names)
    monkeypatch.setitem(FORMATS, "csv", added["csv"])
    root = tmp_path / "streets"
    (root / "images").mkdir(parents=True)
    (root / "train.csv").write_text(table)
    (root / "test.csv").write_text(TEST_ROWS)
    for number in (1, 3, 4, 5):
        Image.new("RGB", (200, 200)).save(root / "images" / f"street_00{number}.jpg")
    return root


def test_it_is_opened_and_named(csv_root: Path) -> None:
    for _ in range(2):  # parsed, then from the cache
        dataset = open_dataset(csv_root)
        assert (dataset.kind, dataset.train.names.tolist()) == ("csv", ["street_001.jpg"])
        assert dataset.train.pids.tolist() == [1, -1] and dataset.train_ids.tolist() == ["anna"]
        np.testing.assert_array_equal(dataset.test.boxes[3], np.float32([50.5, 60, 90.5, 160.25]))
    assert data_name(dataset) == "'streets' (layout: CSV tables)"
    with pytest.raises(InputFileError, match=r"CSV tables \(train\.csv\)"):
        open_dataset(csv_root / "images")


def test_a_table_that_changes_is_read_again(csv_root: Path) -> None:
    open_dataset(csv_root)
    (csv_root / "test.csv").write_text(TEST_ROWS.replace("dora", "emma"))
    assert open_dataset(csv_root).test_ids.tolist() == ["carl", "emma"]


def test_its_protocol_has_the_marked_queries(csv_root: Path) -> None:
    dataset = open_dataset(csv_root)
    assert protocol_names(dataset) == ("all",)
    protocol = open_protocol(dataset, "all")
    assert protocol.query_ids.tolist() == ["carl"]
    assert (protocol.gallery_size, protocol.truth_positions.tolist()) == (2, [0])


def test_without_a_reader_of_protocols_it_has_none(csv_root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fields = {field.name: getattr(FORMATS["csv"], field.name) for field in dataclasses.fields(DatasetFormat)}
    required = {name: value for name, value in fields.items() if "protocol" not in name}
    monkeypatch.setitem(FORMATS, "csv", DatasetFormat(**required))
    assert protocol_names(open_dataset(csv_root)) == ()


def test_it_is_checked(csv_root: Path) -> None:
    assert verify(csv_root, images=True) == []
    (csv_root / "images" / "street_004.jpg").unlink()
    (csv_root / "test.csv").write_text(TEST_ROWS + "street_005.jpg,150,60,60,100,,0\n")
    assert {one.code for one in verify(csv_root, images=True)} == {"image-missing", "box-leaves-image"}
    (csv_root / "test.csv").write_text(TEST_ROWS.replace("100.25", "high"))
    (finding,) = verify(csv_root)
    assert finding.code == "entry-invalid" and "street_005.jpg" in finding.where
    (csv_root / "train.csv").unlink()
    (finding,) = verify(csv_root)
    assert finding.code == "file-missing" and find_format(csv_root) is FORMATS["csv"]


def test_it_is_converted_whole(csv_root: Path, tmp_path: Path) -> None:
    summary = convert(open_dataset(csv_root), "coco", tmp_path / "coco")
    assert (summary.source, summary.losses, summary.protocols) == ("csv", (), {"all": "all"})


def test_it_cannot_be_written(csv_root: Path, tmp_path: Path) -> None:
    assert target_kinds() == ["cuhk-sysu", "prw", "coco"]
    with pytest.raises(ConfigError, match="'csv'"):
        convert(open_dataset(csv_root), "csv", tmp_path / "csv")
