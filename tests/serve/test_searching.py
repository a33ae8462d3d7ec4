"""From a picture to the hits: what the page's server answers."""

from __future__ import annotations

import io
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from films import stripes, write_film
from page_server import Answer, Served, served, wait_until
from PIL import Image
from stripe_photos import HEIGHT, WIDTH, StripePredictor, write_photo

from maskps.errors import InputFileError, MaskpsError, OutputError
from maskps.gallery import Gallery, Persons, Source, Where
from maskps.gallery.hits import shown_time
from maskps.serve import app, desk, pictures
from maskps.serve.asked import person_number
from maskps.serve.guard import RefusedError
from maskps.serve.pictures import KEPT_SECONDS, MOST_PICTURES, MOST_PIXELS, Picture, Pictures

RED, GREEN, BLUE, DARK_RED = (200, 0, 0), (0, 200, 0), (0, 0, 200), (90, 20, 10)


def dropped(server: Served, path: Path) -> dict[str, Any]:
    answer = server.ask("POST", "/api/detect", path.read_bytes())
    assert answer.status == 200, answer.body
    return dict(answer.json)


def searched(server: Served, *examples: dict[str, Any], **filters: Any) -> list[dict[str, Any]]:
    answer = server.ask("POST", "/api/search", {"examples": examples, **filters})
    assert answer.status == 200, answer.body
    return list(answer.json["hits"])


def names(hits: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """File's name and left edge of each hit."""
    return [(Path(hit["path"]).name, hit["box"][0]) for hit in hits]


def image(answer: Answer) -> Image.Image:
    assert answer.status == 200 and answer.headers["content-type"] == "image/jpeg"
    return Image.open(io.BytesIO(answer.body))


def test_info_has_what_the_page_shows_first(unchanged: Served) -> None:
    info = unchanged.ask("GET", "/api/info").json
    assert (info["persons"], info["sources"], info["cameras"]) == (4, 2, ["door", "yard"])
    assert info["first"] == shown_time(1_700_000_000) and info["last"] == shown_time(1_700_003_600)
    assert info["gallery"] == "people.gallery" and "not identity" in info["note"]


def test_copies_of_a_file_are_counted_and_listed_once(server: Served, gallery: Gallery, photos: Path) -> None:
    shutil.copy(photos / "door" / "a.png", photos / "copy.png")
    assert gallery.add([photos / "copy.png"]).duplicates == 1
    assert (
        server.ask("GET", "/api/info").json["sources"] == server.ask("GET", "/api/sources").json["all"] == 2
    )


def test_opening_the_page_reads_the_vectors(
    server: Served, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    searches: list[int] = []
    monkeypatch.setattr(gallery.store, "search", lambda vectors, k, where: searches.append(k))
    assert server.ask("GET", "/api/info").status == 200
    wait_until(lambda: searches == [1])


@pytest.mark.parametrize(("kind", "status"), [(OutputError, 503), (InputFileError, 500)])
def test_what_is_wrong_with_the_gallery_is_said(
    kind: type[MaskpsError], status: int, server: Served, gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> int:
        raise kind("people.gallery", found="a reason", hint="a hint")

    monkeypatch.setattr(gallery.store, "count", fail)
    answer = server.ask("GET", "/api/info")
    assert (answer.status, answer.json["error"]["hint"]) == (status, "a hint")


def test_the_second_person_of_a_picture_finds_those_who_look_so(server: Served, photos: Path) -> None:
    found = dropped(server, write_photo(photos / "query.png", [BLUE, RED]))
    assert (found["width"], found["height"]) == (2 * WIDTH, HEIGHT)
    assert [person["box"] for person in found["persons"]] == [[0, 0, 16, 32], [16, 0, 32, 32]]
    hits = searched(server, {"picture": found["picture"], "box": found["persons"][1]["box"]})
    assert names(hits)[:2] == [("a.png", 0), ("b.png", 0)] and len(hits) == 4
    assert hits[0]["similarity"] == 1 and hits[0]["camera"] == "door"
    assert hits[0]["time"] == shown_time(1_700_000_000) and hits[0]["is_file_there"] is True
    assert all(isinstance(hit[name], str) for hit in hits for name in ("person", "source"))


def test_a_click_on_a_detected_person_gives_what_its_box_gives(
    server: Served, gallery: Gallery, photos: Path
) -> None:
    path = write_photo(photos / "query.png", [(9, 90, 200), (200, 30, 60)])
    found = dropped(server, path)
    box = found["persons"][1]["box"]
    hits = searched(server, {"picture": found["picture"], "box": box})
    expected = gallery.search(path, box)
    assert [int(hit["person"]) for hit in hits] == expected.id.tolist()
    assert [hit["similarity"] for hit in hits] == expected.similarity.tolist()
    dragged = searched(server, {"picture": found["picture"], "box": [1.5, -9, 12, 20]})
    assert [hit["similarity"] for hit in dragged] == gallery.search(
        path, (1.5, -9, 12, 20)
    ).similarity.tolist()


def test_the_network_has_seen_all_persons_before_one_is_clicked(server: Served, photos: Path) -> None:
    found = dropped(server, write_photo(photos / "query.png", [BLUE, RED]))
    picture = server.desk.pictures.get(found["picture"])
    assert picture is not None
    wait_until(lambda: len(picture.vectors) == 2)
    dragged = {"picture": found["picture"], "box": [17, 1, 30, 30]}
    first = searched(server, dragged)
    picture.pixels[:] = 0  # nobody looks at them again
    assert names(searched(server, {"picture": found["picture"], "box": [16, 0, 32, 32]}))[0] == ("a.png", 0)
    assert searched(server, dragged) == first


def test_several_examples_are_averaged(server: Served, gallery: Gallery, photos: Path) -> None:
    (red,), (green,) = (gallery.search(photos / "door" / "a.png", box, 1).id for box in (STRIPE, SECOND))
    found = dropped(server, write_photo(photos / "query.png", [RED]))
    examples = ({"picture": found["picture"], "box": list(STRIPE)}, {"person": str(green)})
    hits = searched(server, *examples)
    assert {hit["person"] for hit in hits[1:3]} == {str(red), str(green)}
    np.testing.assert_allclose([hit["similarity"] for hit in hits[1:3]], 0.5**0.5, atol=1e-6)
    twice_red = searched(server, *[{"person": str(red)}] * 2)
    assert twice_red[0]["person"] == str(red)


STRIPE, SECOND = (0, 0, WIDTH, HEIGHT), (WIDTH, 0, 2 * WIDTH, HEIGHT)


def test_a_person_of_the_gallery_is_asked_for_by_number_or_by_a_box_in_that_scene(
    server: Served, gallery: Gallery, photos: Path
) -> None:
    (red,) = gallery.search(photos / "door" / "a.png", STRIPE, 1).id
    assert names(searched(server, {"person": str(red)}))[0] == ("a.png", 0)
    assert names(searched(server, {"person": str(red), "box": list(SECOND)}))[0] == ("a.png", WIDTH)


def test_filters_narrow_the_hits(unchanged: Served) -> None:
    asked = {"person": "1"}
    assert {hit["camera"] for hit in searched(unchanged, asked, cameras=["yard"])} == {"yard"}
    assert searched(unchanged, asked, cameras=[]) == []
    noon, later = (shown_time(at)[:19].replace(" ", "T") for at in (1_700_000_000, 1_700_003_600))
    assert {hit["camera"] for hit in searched(unchanged, asked, to=later)} == {"door"}
    assert {hit["camera"] for hit in searched(unchanged, asked, **{"from": later})} == {"yard"}
    assert len(searched(unchanged, asked, **{"from": noon})) == 4
    assert [hit["similarity"] > 0.9 for hit in searched(unchanged, asked, min_similarity=0.9)] == [True, True]
    assert len(searched(unchanged, asked, per_source=1)) == 2
    assert len(searched(unchanged, asked, top=3)) == 3


def test_a_crop_shows_the_person_and_a_scene_everybody_in_it(server: Served, photos: Path) -> None:
    (hit,) = searched(server, {"person": "2"}, top=1)
    crop = np.asarray(image(server.ask("GET", f"/api/crop/{hit['person']}")))
    assert crop.shape == (360, 180, 3) and crop[180, 90, 1] > 150 > crop[180, 90, 0]
    scene = server.ask("GET", f"/api/scene/{hit['person']}").json
    assert (scene["width"], scene["height"]) == (2 * WIDTH, HEIGHT) and scene["camera"] == "door"
    assert [person["box"] for person in scene["persons"]] == [list(STRIPE), list(SECOND)]
    assert hit["person"] in [person["person"] for person in scene["persons"]]
    assert (scene["before"], scene["after"]) == (None, None)
    assert image(server.ask("GET", f"/api/scene/{hit['person']}/picture")).size == (2 * WIDTH, HEIGHT)


def test_indexed_scenes_are_listed_page_by_page(
    server: Served, gallery: Gallery, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "PAGE_OF_SOURCES", 3)
    for number in range(4):
        write_photo(
            photos / "more" / f"{number}.png",
            [(5, 5, number + 1)] if number % 2 else [(0, 0, 0)] * (number + 1),
        )
    gallery.add([photos / "more"], camera="more")
    first = server.ask("GET", "/api/sources").json
    assert [Path(one["path"]).name for one in first["sources"]] == ["a.png", "b.png", "1.png"]
    assert (first["all"], first["sources"][0]["count"]) == (6, 2)
    second = server.ask("GET", f"/api/sources?start={first['next']}").json
    assert [Path(one["path"]).name for one in second["sources"]] == ["3.png"] and second["next"] is None
    (yard,) = server.ask("GET", "/api/sources?camera=yard").json["sources"]
    assert (Path(yard["path"]).name, yard["camera"]) == ("b.png", "yard")


def test_frames_of_a_film_are_shown_and_lead_to_each_other(
    server: Served, gallery: Gallery, photos: Path
) -> None:
    film = [stripes(RED), stripes(), stripes(GREEN), stripes(BLUE, RED)]
    write_film(photos / "film.mp4", film, (0, 1, 2, 3))
    gallery.add([photos / "film.mp4"], camera="film", start=1_700_003_600, every=1.0)
    hits = searched(server, {"person": "4"}, cameras=["film"])  # blue
    assert [(hit["kind"], hit["frame_time"]) for hit in hits[:1]] == [("video", 3)]
    assert hits[0]["time"] == shown_time(1_700_003_603)
    crop = np.asarray(image(server.ask("GET", f"/api/crop/{hits[0]['person']}")))
    assert crop[180, 90, 2] > 150 > crop[180, 90, 0]
    scene = server.ask("GET", f"/api/scene/{hits[0]['person']}").json
    assert len(scene["persons"]) == 2 and scene["after"] is None
    middle = server.ask("GET", f"/api/scene/{scene['before']}").json
    assert (middle["frame_time"], len(middle["persons"])) == (2, 1)
    first = server.ask("GET", f"/api/scene/{middle['before']}").json
    assert (first["frame_time"], first["before"], first["after"]) == (0, None, middle["person"])
    (listed,) = server.ask("GET", "/api/sources?camera=film").json["sources"]
    assert (listed["count"], listed["person"]) == (4, first["person"])
    assert server.ask("GET", "/api/info").json["last"] == shown_time(1_700_003_603)


def test_pictures_lose_their_exif_and_stand_upright(server: Served, gallery: Gallery, photos: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, "a secret"  # a quarter turn; the description
    path = write_photo(photos / "turned.jpg", [RED, GREEN], exif=exif, quality=95)
    assert b"a secret" in path.read_bytes()
    found = dropped(server, path)
    gallery.add([path])
    number = max(gallery.store.ids(Where()))
    for address in (
        f"/api/picture/{found['picture']}",
        f"/api/crop/{number}",
        f"/api/scene/{number}/picture",
    ):
        answer = server.ask("GET", address)
        assert b"a secret" not in answer.body and not image(answer).getexif()
    assert (found["width"], found["height"]) == (HEIGHT, 2 * WIDTH)


def test_persons_that_are_added_meanwhile_are_found(server: Served, photos: Path) -> None:
    assert len(searched(server, {"person": "1"})) == 4
    with Gallery.open(photos / "people.gallery", StripePredictor()) as other:
        other.add([write_photo(photos / "new.png", [RED])])
    assert len(searched(server, {"person": "1"})) == 5


def test_a_photo_that_is_gone_or_changed_is_said_and_not_shown(server: Served, photos: Path) -> None:
    assert server.ask("GET", "/api/crop/1").status == 200
    (photos / "door" / "a.png").unlink()
    write_photo(photos / "yard" / "b.png", [RED, RED, RED])
    assert {hit["is_file_there"] for hit in searched(server, {"person": "1"})} == {False}
    for address in ("crop/1", "scene/1", "scene/1/picture", "crop/3"):
        answer = server.ask("GET", f"/api/{address}")
        assert answer.status == 410 and "gone, or has changed" in answer.json["error"]["found"]


def test_a_forgotten_person_is_found_and_shown_no_more(server: Served, gallery: Gallery) -> None:
    assert server.ask("GET", "/api/crop/1").status == 200
    gallery.forget([1])
    assert server.ask("GET", "/api/crop/1").status == 404
    answer = server.ask("POST", "/api/search", {"examples": [{"person": "1"}]})
    assert answer.status == 404 and "forgotten" in answer.json["error"]["found"]


def test_numbers_beyond_those_of_javascript_stay_exact(photos: Path) -> None:
    with Gallery.open(photos / "large.gallery", StripePredictor()) as gallery:
        source = gallery.store.add(Source(str(photos / "x"), "image", 1, 1, "ab"), Persons.none(3))
        number = 2**53 + 1
        gallery.store._db.execute(  # type: ignore[attr-defined]
            "INSERT INTO person VALUES (?, ?, 0, 0, 0, 9, 9, 0.9, ?)",
            (number, source.id, np.array([1, 0, 0], "<f4").tobytes()),
        )
        with served(gallery) as server:
            (hit,) = searched(server, {"person": str(number)})
            assert hit["person"] == str(number)
            assert server.ask("GET", f"/api/crop/{number}").status == 410
            assert server.ask("GET", f"/api/crop/{number - 1}").status == 404


def test_numbers_that_no_store_can_hold_are_not_looked_for() -> None:
    assert person_number(str(2**63 - 1)) == 2**63 - 1
    with pytest.raises(RefusedError):
        person_number(str(2**63))


@pytest.mark.parametrize(
    ("asked", "where"),
    [
        ({}, "examples"),
        ({"examples": []}, "examples"),
        ({"examples": [{"person": "1"}] * 51}, "examples"),
        ({"examples": [{"path": "/etc/passwd"}]}, "examples"),
        ({"examples": [{"person": "1", "path": "/etc/passwd"}]}, "examples"),
        ({"examples": [{"picture": "x"}]}, "examples"),
        ({"examples": [{"person": "1", "box": [0, 0, 0]}]}, "box"),
        ({"examples": [{"person": "1", "box": [0, 0, float("nan"), 1]}]}, "box"),
        ({"examples": [{"person": "1", "box": [5, 5, 5, 9]}]}, "box"),
        ({"examples": [{"person": "1"}], "top": 0}, "top"),
        ({"examples": [{"person": "1"}], "top": 501}, "top"),
        ({"examples": [{"person": "1"}], "top": True}, "top"),
        ({"examples": [{"person": "1"}], "cameras": "door"}, "cameras"),
        ({"examples": [{"person": "1"}], "from": "yesterday"}, "from"),
        ({"examples": [{"person": "1"}], "from": "2024-05-02", "to": "2024-05-01"}, "to"),
        ({"examples": [{"person": "1"}], "min_similarity": "high"}, "min_similarity"),
        ({"examples": [{"person": "1"}], "min_similarity": True}, "min_similarity"),
        ({"examples": [{"person": "1"}], "where": "1=1"}, "the search"),
    ],
)
def test_a_wrong_search_is_refused_with_the_field(
    asked: dict[str, Any], where: str, unchanged: Served
) -> None:
    answer = unchanged.ask("POST", "/api/search", asked)
    assert answer.status == 400 and answer.json["error"]["where"] == where


@pytest.mark.parametrize("body", [b"", b"[", b"[1]", b"[" * 50_000, b"\xff\xfe"])
def test_what_is_not_json_is_refused(body: bytes, unchanged: Served) -> None:
    assert unchanged.ask("POST", "/api/search", body).status == 400


def test_unknown_numbers_and_pictures_are_said(unchanged: Served) -> None:
    def status(example: dict[str, Any]) -> int:
        return unchanged.ask("POST", "/api/search", {"examples": [example]}).status

    assert status({"person": "99"}) == 404 and status({"person": 1}) == 404
    assert status({"picture": "guessed", "box": [0, 0, 9, 9]}) == 410
    assert unchanged.ask("GET", "/api/picture/guessed").status == 410


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "0 bytes"),
        (b"no picture", "not a picture"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "HEIC"),
    ],
)
def test_what_is_not_a_picture_is_said(content: bytes, found: str, unchanged: Served) -> None:
    answer = unchanged.ask("POST", "/api/detect", content)
    assert answer.status == 422 and found in answer.json["error"]["found"]


def test_a_picture_of_too_many_pixels_is_refused_by_its_head(unchanged: Served) -> None:
    stream = io.BytesIO()
    Image.new("1", (10_000, 5_001)).save(stream, "PNG")
    answer = unchanged.ask("POST", "/api/detect", stream.getvalue())
    assert answer.status == 422 and "10000 x 5001" in answer.json["error"]["found"]


def test_detections_with_a_low_score_are_not_offered(
    server: Served, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "MIN_SCORE", 0.7)
    found = dropped(server, write_photo(photos / "query.png", [BLUE] * 5))  # scores 0.95, 0.85, ... 0.55
    np.testing.assert_allclose([one["score"] for one in found["persons"]], [0.95, 0.85, 0.75], atol=1e-6)


def test_nobody_in_a_picture_is_an_empty_list(server: Served, photos: Path) -> None:
    assert dropped(server, write_photo(photos / "night.png", [(0, 0, 0)]))["persons"] == []


def test_pictures_are_dropped_after_a_while_and_if_there_are_many() -> None:
    clock = [0.0]
    kept_ones = Pictures(lambda: clock[0])
    kept = [kept_ones.add(Picture(np.zeros((1, 1, 3), np.uint8), [], [])) for _ in range(MOST_PICTURES)]
    assert len(set(kept)) == len(kept_ones) == MOST_PICTURES and len(kept[0]) > 20
    clock[0] = KEPT_SECONDS / 2
    assert kept_ones.get(kept[0]) is not None
    kept_ones.add(Picture(np.zeros((1, 1, 3), np.uint8), [], []))
    assert kept_ones.get(kept[1]) is None and kept_ones.get(kept[0]) is not None
    clock[0] = KEPT_SECONDS
    kept_ones.drop_old()
    assert len(kept_ones) == 2  # the one that was used again, and the newest
    clock[0] = 2 * KEPT_SECONDS
    assert kept_ones.get(kept[0]) is None and len(kept_ones) == 0


def test_a_picture_is_dropped_in_time_though_nobody_asks(
    server: Served, photos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(app, "KEPT_SECONDS", -0.5)
    found = dropped(server, write_photo(photos / "query.png", [BLUE]))
    picture = server.desk.pictures.get(found["picture"])
    assert picture is not None
    wait_until(lambda: len(picture.vectors) == 1)
    monkeypatch.setattr(pictures, "KEPT_SECONDS", 0.0)
    wait_until(lambda: len(server.desk.pictures) == 0)


def test_few_large_pictures_are_kept_the_newest_always() -> None:
    def kept(*tenths: int) -> list[bool]:
        kept_ones = Pictures()
        names = [
            kept_ones.add(Picture(np.broadcast_to(np.uint8(0), (MOST_PIXELS // 10, part, 3)), [], []))
            for part in tenths
        ]
        return [kept_ones.get(name) is not None for name in names]

    assert kept(5, 5) == [True, True] and kept(6, 5) == [False, True]
    assert kept(8, 4, 4) == [False, True, True] and kept(1, 11) == [False, True]


def test_nothing_that_was_dropped_is_written(server: Served, photos: Path) -> None:
    before = {path: os.stat(path).st_size for path in photos.rglob("*")}
    query = write_photo(photos / "query.png", [BLUE])
    content = query.read_bytes()
    query.unlink()
    assert server.ask("POST", "/api/detect", content).status == 200
    assert {path: os.stat(path).st_size for path in photos.rglob("*")} == before
