"""`maskps gallery`: what it adds, shows, exports and forgets, and what it says about it."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from command_line import invoke, start_with_stripes
from films import write_film
from PIL import Image
from stripe_photos import write_photo
from untrained_run import TERMS, write_untrained_run

from maskps.evaluation import read_detections
from maskps.gallery import Gallery, Where
from maskps_cli.gallery import DurationType
from maskps_cli.main import main

pytestmark = pytest.mark.usefixtures("one_thread")

run = partial(invoke, main)


@pytest.fixture(scope="module")
def made(few_scenes: Path, network: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with photos/door/{0,1}.jpg, photos/yard/2.jpg, photos/notes.txt and people.gallery."""
    folder = tmp_path_factory.mktemp("made")
    for number, image in enumerate(sorted(few_scenes.rglob("*.jpg"))[:3]):
        place = folder / "photos" / ("door" if number < 2 else "yard")
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(image, place / f"{number}.jpg")
    (folder / "photos" / "notes.txt").write_text("no photo")
    result = run(
        *("gallery", "add", folder / "people.gallery", folder / "photos", "--run", network),
        *("--camera-from", r"photos/(\w+)/", "--start", "2024-05-01T12:00", "--json"),
    )
    assert result.exit_code == 0, result.output
    counts = json.loads(result.stdout)
    assert (counts["new"], counts["others"], counts["terms"]) == (3, 1, TERMS)
    assert counts["persons"] == counts["persons_in_gallery"] > 3
    return folder


@pytest.fixture
def own(made: Path, tmp_path: Path) -> Path:
    """A copy of the gallery for the test to change; its photos are those of `made`."""
    return shutil.copy(made / "people.gallery", tmp_path / "own.gallery")


def persons_in(place: Path) -> int:
    with Gallery.open(place) as gallery:
        return gallery.store.count()


def test_adding_again_does_nothing_and_says_so(own: Path, made: Path, network: Path) -> None:
    result = run("gallery", "add", own, made / "photos", "--run", network)
    assert result.exit_code == 0 and "files: 3 unchanged; 1 other file; 0 persons found" in result.stdout
    assert f"data terms: {TERMS}" in result.stdout


def test_info_counts_by_camera(own: Path, made: Path) -> None:
    result = run("gallery", "info", made / "people.gallery", "--json")
    found = json.loads(result.stdout)
    assert [(one["camera"], one["photos"]) for one in found["cameras"]] == [("door", 2), ("yard", 1)]
    assert sum(one["persons"] for one in found["cameras"]) == found["persons"] == persons_in(own)
    assert found["cameras"][0]["first"] == datetime(2024, 5, 1, 12).timestamp()
    assert (found["gone"], found["duplicates"], found["network"]["terms"]) == (0, 0, TERMS)
    text = run("gallery", "info", made / "people.gallery").stdout
    assert "yard" in text and "2024-05-01 12:00:00" in text and f"data terms: {TERMS}" in text


def test_a_film_is_added_counted_searched_and_forgotten(
    own: Path, made: Path, network: Path, tmp_path: Path
) -> None:
    picture = np.array(Image.open(made / "photos" / "yard" / "2.jpg"))
    picture = picture[: picture.shape[0] // 2 * 2, : picture.shape[1] // 2 * 2]
    film = write_film(tmp_path / "film.mkv", [np.roll(picture, 9 * step, axis=1) for step in range(10)])
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(film.read_bytes()[: film.stat().st_size * 6 // 10])
    both = ("gallery", "add", own, film, cut, "--run", network)
    added = run(*both, "--every", "500ms", "--camera", "hall", "--min-score", "0")
    assert added.exit_code == 0 and "files: 2 new;" in added.stdout, added.output
    assert f"cut off or damaged: {cut}" in added.stderr and "2 videos without a start time" in added.stderr
    assert run(*both, "--start", "2024-05-01T12:00", "--quiet").exit_code == 0
    found = json.loads(run("gallery", "info", own, "--json").stdout)
    hall = next(camera for camera in found["cameras"] if camera["camera"] == "hall")
    assert (found["photos"], found["videos"], found["cut_off"]) == (3, 2, [str(cut)])
    assert hall["persons"] > 0 and hall["last"] == datetime(2024, 5, 1, 12, 0, 4, 500_000).timestamp()
    info = run("gallery", "info", own).stdout
    assert "3 photos and 2 videos" in info and f"{cut}: cut off or damaged" in info
    query = (made / "photos" / "yard" / "2.jpg", "--box", "10,10,60,90", "--run", network)
    hits = json.loads(run("search", own, *query, "--camera", "hall", "--json").stdout)["hits"]
    assert {hit["frame_time"] for hit in hits} >= {0.0} and hits[0]["time"][:16] == "2024-05-01 12:00"
    assert run("search", own, *query, "--camera", "hall").stdout.count(" 0:00:0") == len(hits)
    before = persons_in(own)
    for path in (film, cut):
        assert run("gallery", "forget", own, "--source", path, "--yes").exit_code == 0
    assert before - persons_in(own) == hall["persons"]


@pytest.mark.parametrize(
    ("text", "seconds"), [("1", 1), ("1s", 1), ("0.5", 0.5), ("500ms", 0.5), ("2m", 120), (".5 h", 1800)]
)
def test_durations(text: str, seconds: float) -> None:
    assert DurationType().convert(text, None, None) == seconds


def test_files_that_cannot_be_read_are_named_and_the_others_added(
    own: Path, made: Path, network: Path, tmp_path: Path
) -> None:
    shutil.copy(made / "photos" / "yard" / "2.jpg", tmp_path / "copy.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "copy.jpg").read_bytes()[:900])
    (tmp_path / "phone.heic").touch()
    result = run("gallery", "add", own, tmp_path, "--run", network)
    assert result.exit_code == 1
    assert "1 with the content of another, 2 not read" in result.stdout
    assert "cut.jpg: " in result.stderr and "phone.heic: HEIC, which is not read" in result.stderr
    found = json.loads(run("gallery", "info", own, "--json").stdout)
    assert (found["photos"], found["duplicates"]) == (3, 1)
    again = ("gallery", "add", own, tmp_path, "--run", network, "--skip-broken", "--quiet")
    assert run(*again).exit_code == 0 and run(*again).stderr == ""


@pytest.mark.parametrize(
    ("files", "found"),
    [
        (None, "no such file"),
        ({}, "none"),
        ({"a.txt": b"x"}, "1 other file"),
        ({"a.jpg": b"x"}, "1 not read"),
    ],
)
def test_a_command_that_adds_nothing_leaves_nothing(
    files: dict[str, bytes] | None, found: str, network: Path, tmp_path: Path
) -> None:
    photos = tmp_path / "photos"
    if files is not None:
        photos.mkdir()
        for name, content in files.items():
            (photos / name).write_bytes(content)
    before = sorted(tmp_path.iterdir())
    result = run("gallery", "add", tmp_path / "new" / "people.gallery", photos, "--run", network)
    assert result.exit_code == 1 and found in result.output and str(photos) in result.output
    assert sorted(tmp_path.iterdir()) == before


def test_processes_of_torchrun_share_the_photos_out_and_end_with_the_rows_of_one(tmp_path: Path) -> None:
    for number in range(12):
        photo = write_photo(tmp_path / "p" / f"{number}.png", [(number * 20, 200, 9)] * (1 + number // 4))
        shutil.copy(photo, tmp_path / "p" / f"copy of {number}.png")
    place, alone = tmp_path / "two.gallery", tmp_path / "one.gallery"
    shared = [
        start_with_stripes("gallery", "add", place, tmp_path / "p", RANK=str(rank), WORLD_SIZE="2")
        for rank in (0, 1)
    ]
    for rank, process in enumerate([*shared, start_with_stripes("gallery", "add", alone, tmp_path / "p")]):
        stdout, stderr = process.communicate()
        assert process.returncode == 0, stderr
        assert stdout.startswith(f"process {rank + 1} of 2: " if rank < 2 else "files: 12 new")
    assert rows_of(place) == rows_of(alone) and len(rows_of(place)) == 24


def rows_of(place: Path) -> list[tuple[object, ...]]:
    """The persons of a gallery, whatever their numbers: path, box, score, vector."""
    with Gallery.open(place) as gallery:
        ids = gallery.store.ids(Where())
        rows, vectors = gallery.store.rows(ids), gallery.store.vectors(ids).tolist()
    return sorted(
        (row.source.path, row.box, row.score, vector) for row, vector in zip(rows, vectors, strict=True)
    )


@pytest.mark.parametrize(
    ("choice", "left"),
    [
        (lambda made: ("--source", made / "photos" / "door"), ("yard",)),
        (lambda made: ("--source", made / "photos" / "yard" / "2.jpg"), ("door",)),
        (lambda made: ("--before", "2024-05-02"), ()),
        (lambda made: ("--before", "2024-04-30"), ("door", "yard")),
        (lambda made: ("--all",), ()),
    ],
)
def test_forget_removes_what_is_chosen(
    choice: Callable[[Path], tuple[object, ...]], left: tuple[str, ...], own: Path, made: Path
) -> None:
    with Gallery.open(own) as gallery:
        expected = len(gallery.store.ids(Where(cameras=left)))
    result = run("gallery", "forget", own, *choice(made), "--yes")
    assert result.exit_code == 0, result.output
    assert persons_in(own) == expected


def test_forget_takes_persons_by_number_and_erases_their_vectors(own: Path) -> None:
    with Gallery.open(own) as gallery:
        ids = gallery.store.ids(Where())[:2]
        vectors = gallery.store.vectors(ids)
    count = persons_in(own)
    everything = b"".join(path.read_bytes() for path in own.parent.iterdir())
    assert all(vector.tobytes()[:64] in everything for vector in vectors)
    result = run("gallery", "forget", own, "--person", ids[0], "--person", ids[1], "--yes")
    assert result.exit_code == 0 and persons_in(own) == count - 2
    everything = b"".join(path.read_bytes() for path in own.parent.iterdir())
    assert not any(
        vector.tobytes()[start : start + 16] in everything for vector in vectors for start in (0, 64)
    )


def test_forget_asks_first_and_wants_one_choice(own: Path, made: Path) -> None:
    count = persons_in(own)
    assert run("gallery", "forget", own, "--all").exit_code == 1  # no answer
    for wrong in ((), ("--all", "--before", "2024-01-01"), ("--before", "yesterday")):
        assert run("gallery", "forget", own, *wrong, "--yes").exit_code == 2
    result = run("gallery", "forget", own, "--source", made / "elsewhere", "--yes")
    assert result.exit_code == 1 and "none there" in result.stderr
    assert run("gallery", "forget", own, "--person", "999999", "--yes").exit_code == 1
    assert persons_in(own) == count


def test_export_is_a_file_of_detections(own: Path, made: Path, tmp_path: Path) -> None:
    out = tmp_path / "people.npz"
    assert run("gallery", "export", own, "--out", out).exit_code == 0
    detections = read_detections(out)
    assert detections.image_names.tolist() == sorted(map(str, (made / "photos").rglob("*.jpg")))
    with Gallery.open(own) as gallery:
        ids = gallery.store.ids(Where())
        assert np.array_equal(detections.embeddings, gallery.store.vectors(ids))
        assert detections.boxes[3].tolist() == list(gallery.store.rows(ids)[3].box)
    assert run("gallery", "export", own, "--out", out).exit_code == 1
    assert run("gallery", "export", own, "--out", out, "--force").exit_code == 0


def test_a_gallery_is_for_its_owner_alone_and_needs_no_connection(
    made: Path, network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise AssertionError("something asked for a connection")

    for name in ("socket", "create_connection", "getaddrinfo"):
        monkeypatch.setattr(socket, name, refuse)
    place = tmp_path / "new.gallery"
    result = run("gallery", "add", place, made / "photos" / "yard", "--run", network)
    assert result.exit_code == 0, result.output
    assert {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {"new.gallery": 0o600}


def test_wrong_usage(own: Path, made: Path, network: Path, tmp_path: Path) -> None:
    photos = made / "photos"
    both = ("--camera", "a", "--camera-from", "b")
    wrong_values = [("--camera", ""), ("--camera-from", "("), ("--start", "noon")]
    wrong_values += [("--min-score", "7"), ("--min-score", "nan"), ("--every", "0s"), ("--every", "a second")]
    for wrong in (both, *wrong_values):
        assert run("gallery", "add", own, photos, "--run", network, *wrong).exit_code == 2, wrong
    for rank, size in (("2", "2"), ("one", "2"), ("-1", "2")):
        result = run("gallery", "add", own, photos, "--run", network, RANK=rank, WORLD_SIZE=size)
        assert result.exit_code == 2 and "torchrun" in result.stderr
    alone = run("gallery", "add", own, photos, "--run", network, RANK=None, WORLD_SIZE="3")
    assert alone.exit_code == 0 and "files: 3 unchanged" in alone.stdout
    assert run("gallery", "add", own, photos).exit_code == 2  # no network
    result = run("gallery", "add", own, photos, tmp_path / "none", "--run", network)
    assert result.exit_code == 1 and "no such file" in result.stderr
    assert run("gallery", "info", tmp_path / "none.gallery").exit_code == 1
    assert not os.path.exists(tmp_path / "none.gallery")


def test_the_network_must_be_the_galleries(own: Path, made: Path, few_scenes: Path, tmp_path: Path) -> None:
    import torch

    other = write_untrained_run(few_scenes, tmp_path / "other")
    (checkpoint,) = (other / "checkpoints").glob("*.pt")
    from maskps.training.checkpoint import read_checkpoint, write_checkpoint

    state = read_checkpoint(checkpoint)
    next(value for value in state.model.values() if value.is_floating_point()).add_(torch.tensor(0.5))
    write_checkpoint(checkpoint, state)
    result = run("gallery", "add", own, made / "photos", "--run", other)
    assert result.exit_code == 1 and "weights" in result.stderr


def test_one_of_each_is_not_called_many(own: Path, made: Path, network: Path, tmp_path: Path) -> None:
    run("gallery", "forget", own, "--all", "--yes")
    photo = next((made / "photos").rglob("*.jpg"))
    added = run("gallery", "add", own, photo, "--run", network)
    found = json.loads(run("search", own, photo, "--run", network, "--person", 1, "--json").stdout)
    first, *others = found["hits"]
    words = [word for one in others for word in ("--person", one["person"])]
    forgotten = run("gallery", "forget", own, *words, "--yes")
    last = run("gallery", "forget", own, "--person", first["person"], "--yes")
    texts = [added.stdout, run("gallery", "info", own).stdout, forgotten.stderr, last.stderr]
    assert "in 1 photo and 0 videos" in texts[1] and last.stderr == "forgot 1 person\n"
    assert not [text for text in texts if re.search(r"\b1 (persons|photos|videos|files)", text)]
