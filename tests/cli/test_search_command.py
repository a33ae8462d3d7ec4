"""`maskps search`: the query, who counts, and what is said."""

from __future__ import annotations

import json
import re
import shutil
import socket
from functools import partial
from pathlib import Path

import pytest
from click.testing import Result
from command_line import invoke, start_with_stripes
from stripe_photos import write_photo
from untrained_run import TERMS

from maskps_cli.main import main

pytestmark = pytest.mark.usefixtures("one_thread")

run = partial(invoke, main)


@pytest.fixture(scope="module")
def made(few_scenes: Path, network: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos/{0,1,2,3}.jpg of the cameras 0 to 3, and people.gallery."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "photos").mkdir()
    for number, image in enumerate(sorted(few_scenes.rglob("*.jpg"))[:4]):
        shutil.copy(image, folder / "photos" / f"{number}.jpg")
    options = ("--run", network, "--camera-from", r"(\d)\.jpg", "--start", "2024-05-01")
    result = run("gallery", "add", folder / "people.gallery", folder / "photos", *options)
    assert result.exit_code == 0, result.output
    return folder


def asked(made: Path, network: Path, *options: object) -> Result:
    return run("search", made / "people.gallery", made / "photos" / "0.jpg", "--run", network, *options)


def test_several_persons_are_listed_with_numbers_that_choose_one(made: Path, network: Path) -> None:
    result = asked(made, network)
    assert result.exit_code == 2
    lines = re.findall(r"^  (\d+): box ([\d,]+), score [\d.]+$", result.stderr, re.MULTILINE)
    assert len(lines) > 1 and f"shows {len(lines)} persons" in result.stderr.splitlines()[0]
    of_number = json.loads(asked(made, network, "--person", "2", "--json").stdout)
    assert [f"{value:.0f}" for value in of_number["query"]["box"]] == lines[1][1].split(",")
    assert asked(made, network, "--person", len(lines) + 1).exit_code == 2


def test_the_box_of_a_person_finds_that_person_first(made: Path, network: Path) -> None:
    listed = json.loads(asked(made, network, "--person", "1", "--json").stdout)
    box = ",".join(map(str, listed["query"]["box"]))
    result = asked(made, network, "--box", box, "--json", "--top", "3")
    found = json.loads(result.stdout)
    assert len(found["hits"]) == 3 and found["terms"] == TERMS
    assert found["hits"] == listed["hits"][:3]
    similarities = [hit["similarity"] for hit in listed["hits"]]
    assert similarities == sorted(similarities, reverse=True)
    text = asked(made, network, "--box", box).stdout
    assert "Similarity is not identity" in text and f"data terms: {TERMS}" in text


def test_cameras_times_and_sources_limit_the_hits(made: Path, network: Path) -> None:
    def paths(*options: object) -> list[str]:
        result = asked(made, network, "--person", "1", "--json", "--top", "50", *options)
        return [Path(hit["path"]).name for hit in json.loads(result.stdout)["hits"]]

    assert set(paths()) == {"0.jpg", "1.jpg", "2.jpg", "3.jpg"}
    assert set(paths("--camera", "1", "--camera", "3")) == {"1.jpg", "3.jpg"}
    assert sorted(paths("--per-source", "1")) == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    assert paths("--to", "2024-05-01") == [] and paths("--from", "2024-05-01T00:00:01") == []
    assert paths("--from", "2024-05-01") == paths() != paths("--min-similarity", "0.999")


def test_nobody_is_an_error_that_says_what_to_do(made: Path, network: Path, tmp_path: Path) -> None:
    from PIL import Image

    from maskps.model.predictor import ImageDetections, Predictor

    def nobody(self: Predictor, image: object) -> ImageDetections:
        found = detect(self, image)  # type: ignore[arg-type]
        return ImageDetections(found.boxes, found.scores * 0.4, found.embeddings)

    detect = Predictor.detect
    Image.new("RGB", (60, 80)).save(tmp_path / "empty.png")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Predictor, "detect", nobody)
        result = run("search", made / "people.gallery", tmp_path / "empty.png", "--run", network)
    assert result.exit_code == 1
    assert "nobody with a score of 0.5 or more" in result.stderr and "--box" in result.stderr


def test_files_are_written_beside_what_is_printed(made: Path, network: Path, tmp_path: Path) -> None:
    out, crops = tmp_path / "hits.html", tmp_path / "crops"
    result = asked(made, network, "--person", "1", "--out", out, "--crops", crops, "--top", "5")
    assert result.exit_code == 0, result.output
    assert out.read_text(encoding="utf-8").count("<details>") == 5 == len(list(crops.glob("*.jpg")))
    for option, there in (("--out", out), ("--crops", made / "photos")):
        result = asked(made, network, "--person", "1", option, there)
        assert result.exit_code == 1 and not result.stdout  # before the search
    assert asked(made, network, "--person", "1", "--out", out, "--force").exit_code == 0


def test_a_search_needs_no_connection(
    made: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("something asked for a connection")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    result = asked(made, network, "--person", "1", "--out", tmp_path / "hits.html")
    assert result.exit_code == 0, result.output


@pytest.mark.parametrize(
    "wrong",
    [
        ("--box", "9,9,3,3"),
        ("--box", "1,2,3"),
        ("--box", "5000,0,6000,9"),
        ("--box", "0,0,9,9", "--person", "1"),
        ("--person", "0"),
        ("--top", "0"),
        ("--per-source", "0"),
        ("--camera", "attic", "--person", "1"),
        ("--from", "2024-06-01", "--to", "2024-05-01"),
        ("--out", "hits.pdf"),
        ("--min-similarity", "2"),
        ("--min-similarity", "nan"),
        ("--onnx", "model.onnx"),
    ],
)
def test_wrong_usage(wrong: tuple[str, ...], made: Path, network: Path) -> None:
    result = asked(made, network, *wrong)
    assert result.exit_code == 2, result.output


def test_with_an_onnx_file_add_and_search_import_no_torch(tmp_path: Path) -> None:
    """The file's own predictor is tested beside the exporter; here it is all around it."""
    place, photo = tmp_path / "g.gallery", write_photo(tmp_path / "p" / "a.png", [(200, 0, 0)])
    for command in (
        ("gallery", "add", place, tmp_path / "p"),
        ("search", place, photo, "--out", tmp_path / "hits.html", "--json"),
    ):
        process = start_with_stripes(*command)
        stdout, stderr = process.communicate()
        assert process.returncode == 0, stderr
    assert json.loads(stdout)["hits"][0]["similarity"] == pytest.approx(1)


def test_a_search_makes_no_gallery(made: Path, network: Path, tmp_path: Path) -> None:
    result = run("search", tmp_path / "none", made / "photos" / "0.jpg", "--run", network)
    assert result.exit_code == 1 and "no such file" in result.stderr and not (tmp_path / "none").exists()


def test_an_empty_gallery_is_named(made: Path, network: Path, tmp_path: Path) -> None:
    place = shutil.copy(made / "people.gallery", tmp_path)
    assert run("gallery", "forget", place, "--all", "--yes").exit_code == 0
    options = ("--run", network, "--person", "1")
    result = run("search", place, made / "photos" / "0.jpg", *options)
    assert result.exit_code == 0 and "is empty: add photos or videos" in result.stderr
    assert "is empty" not in asked(made, network, "--person", "1", "--min-similarity", "1").stderr
