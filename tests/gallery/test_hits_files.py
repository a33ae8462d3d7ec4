"""The hits of a search as a page, JSON, CSV and crops, from photos that may be gone."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stripe_photos import HEIGHT, WIDTH, StripePredictor, write_photo

from maskps.errors import ConfigError, OutputExistsError
from maskps.gallery import Gallery
from maskps.gallery.hits import Search
from maskps.gallery.hits_files import write_crops, write_hits
from maskps.gallery.photos import read_photo

BOX = np.array([0, 0, WIDTH, HEIGHT], np.float32)
SCRIPT = "<script>alert(1)</script>"


@pytest.fixture
def search(tmp_path: Path) -> Search:
    """Five hits of three cameras: one with a hostile name, one whose photo is gone, one not UTF-8."""
    names = ["a.png", f"{SCRIPT.replace('/', '')}.png", "gone.png", "changed.png", os.fsdecode(b"\xe9.png")]
    for number, name in enumerate(names):
        write_photo(tmp_path / "p" / "photo", [(200, 40 * number, 0)], format="PNG")
        (tmp_path / "p" / "photo").rename(tmp_path / "p" / name)
    with Gallery.open(tmp_path / "g.gallery", StripePredictor()) as gallery:
        gallery.add([tmp_path / "p"], camera=SCRIPT, start=1_700_000_000.25)
        pixels = read_photo(tmp_path / "p" / "a.png").pixels
        hits = gallery.search(pixels, BOX)
        (tmp_path / "p" / "gone.png").unlink()
        os.utime(tmp_path / "p" / "a.png", ns=(1, 1))  # as after a copy: the content is the same
        write_photo(tmp_path / "p" / "changed.png", [(1, 2, 3), (4, 5, 6)])
        return Search("people", tmp_path / "p" / "a.png", pixels, BOX, gallery.store.network, hits)


def test_json_and_csv_have_every_number(search: Search, tmp_path: Path) -> None:
    write_hits(tmp_path / "hits.json", search)
    write_hits(tmp_path / "hits.csv", search)
    content = json.loads((tmp_path / "hits.json").read_text(encoding="utf-8"))
    assert "Similarity is not identity" in content["note"]
    assert [hit["similarity"] for hit in content["hits"]] == search.hits.similarity.tolist()
    assert [hit["is_file_there"] for hit in content["hits"]] == [True, True, False, False, True]
    assert content["hits"][0]["box"] == [0, 0, WIDTH, HEIGHT] and content["hits"][0]["camera"] == SCRIPT
    assert content["hits"][4]["path"].endswith("\\xe9.png") and content["hits"][0]["time"][:5] == "2023-"
    with open(tmp_path / "hits.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [float(row["similarity"]) for row in rows] == search.hits.similarity.tolist()
    assert [int(row["person"]) for row in rows] == search.hits.id.tolist()
    assert rows[1]["y1"] == "32.0" and rows[0]["camera"] == SCRIPT


def test_no_spreadsheet_calculates_the_name_of_a_camera(tmp_path: Path) -> None:
    photo = write_photo(tmp_path / "a.png", [(9, 9, 9)])
    with Gallery.open(tmp_path / "g.gallery", StripePredictor()) as gallery:
        gallery.add([photo], camera="=1+1")
        hits = gallery.search(photo, BOX)
        search = Search("people", photo, read_photo(photo).pixels, BOX, gallery.store.network, hits)
    write_hits(tmp_path / "hits.csv", search)
    assert ",'=1+1," in (tmp_path / "hits.csv").read_text()


def test_the_page_shows_photos_as_they_are_and_names_as_text(search: Search, tmp_path: Path) -> None:
    write_hits(tmp_path / "hits.html", search)
    page = (tmp_path / "hits.html").read_text(encoding="utf-8")
    assert SCRIPT not in page and "&lt;script&gt;" in page
    assert page.count("<img ") == 2 + 2 * 3 and page.count("gone, or has changed") == 2
    assert "Similarity is not identity" in page and "default-src 'none'" in page


def test_crops_are_the_boxes_of_photos_that_are_there(search: Search, tmp_path: Path) -> None:
    assert write_crops(tmp_path / "crops", search) == 3
    crops = sorted((tmp_path / "crops").glob("*.jpg"))
    assert [crop.name[:9] for crop in crops] == ["001_1.000", "002_0.981", "005_0.781"]
    with Image.open(crops[1]) as crop:
        assert crop.size == (WIDTH, HEIGHT)
        assert np.abs(np.array(crop)[9, 9].astype(int) - [200, 40, 0]).max() < 8
    assert len(json.loads((tmp_path / "crops" / "hits.json").read_text())["hits"]) == 5
    with pytest.raises(OutputExistsError):
        write_crops(tmp_path / "crops", search)
    assert write_crops(tmp_path / "crops", search, force=True) == 3


@pytest.mark.parametrize("name", ["hits.html", "hits.json", "hits.csv"])
def test_only_earlier_hits_are_replaced(name: str, search: Search, tmp_path: Path) -> None:
    write_hits(tmp_path / name, search)
    with pytest.raises(OutputExistsError):
        write_hits(tmp_path / name, search)
    write_hits(tmp_path / name, search, force=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(OutputExistsError):
        write_hits(tmp_path / name, search, force=True)
    assert (tmp_path / name).read_text() == "mine"


def test_the_ending_says_what_is_written(search: Search, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\.html, \.json, \.csv"):
        write_hits(tmp_path / "hits.pdf", search)
