"""The gallery: each content goes through the network once, the search finds it, and it can be forgotten."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from stripe_photos import HEIGHT, WIDTH, StripePredictor, write_photo

from maskps.errors import AnnotationError, ConfigError, InputFileError
from maskps.gallery import Gallery, Where
from maskps.gallery.gallery import box_inside
from maskps.gallery.photos import read_photo

RED, GREEN, BLUE, DARK_RED, BLACK = (200, 0, 0), (0, 200, 0), (0, 0, 200), (90, 20, 10), (0, 0, 0)


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.open(tmp_path / "g.gallery", StripePredictor()) as opened:
        yield opened


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """a.png: red and green; b.png: blue; c/d.png: dark red and nobody."""
    folder = tmp_path / "photos"
    write_photo(folder / "a.png", [RED, GREEN])
    write_photo(folder / "b.png", [BLUE])
    write_photo(folder / "c" / "d.png", [DARK_RED, BLACK])
    return folder


def names(gallery: Gallery) -> dict[str, str]:
    """State of every source by its file's name."""
    return {Path(source.path).name: source.state for source in gallery.sources()}


def images(gallery: Gallery) -> int:
    assert isinstance(gallery.predictor, StripePredictor)
    return gallery.predictor.images


def test_the_most_similar_come_first_with_where_they_are(gallery: Gallery, photos: Path) -> None:
    added = gallery.add([photos], camera="door")
    assert (added.new, added.persons, added.skipped) == (3, 4, [])
    hits = gallery.search(photos / "a.png", (0, 0, WIDTH, HEIGHT), top=3)
    assert [Path(path).name for path in hits.path] == ["a.png", "d.png", "a.png"]
    red = np.array(DARK_RED) / np.linalg.norm(DARK_RED)
    np.testing.assert_allclose(hits.similarity, [1, red[0], 0], atol=1e-6)
    assert hits.boxes[2].tolist() == [WIDTH, 0, 2 * WIDTH, HEIGHT] and hits.camera == ("door",) * 3
    assert hits.score[:1] == np.float32(0.95) and np.isnan(hits.time).all()
    assert len(set(hits.id.tolist())) == 3 and hits.source[0] == hits.source[2]


def test_a_second_call_reads_no_image(gallery: Gallery, photos: Path) -> None:
    gallery.add([photos])
    before = gallery.sources()
    added = gallery.add([photos, photos / "b.png"])
    assert (added.unchanged, added.new, images(gallery)) == (3, 0, 3)
    assert gallery.sources() == before


def test_a_touched_file_is_not_computed_again_and_a_changed_one_replaces_its_persons(
    gallery: Gallery, photos: Path
) -> None:
    gallery.add([photos])
    os.utime(photos / "a.png", ns=(1, 1))
    assert gallery.add([photos]).unchanged == 3 and images(gallery) == 3
    assert gallery.sources()[0].mtime_ns == 1
    write_photo(photos / "a.png", [BLUE, BLACK])
    added = gallery.add([photos])
    assert (added.changed, added.unchanged, images(gallery)) == (1, 2, 4)
    assert gallery.store.count() == 3
    hits = gallery.search(photos / "b.png", (0, 0, WIDTH, HEIGHT), top=2)
    assert {Path(path).name for path in hits.path} == {"a.png", "b.png"} and hits.similarity.min() > 0.999


def test_a_moved_file_keeps_its_persons_and_its_camera(gallery: Gallery, photos: Path) -> None:
    gallery.add([photos], camera="door")
    (hit,) = gallery.search(photos / "b.png", (0, 0, WIDTH, HEIGHT), top=1).id.tolist()
    shutil.move(photos / "b.png", photos / "c" / "new.png")
    added = gallery.add([photos])
    assert (added.moved, added.unchanged, images(gallery)) == (1, 2, 3)
    moved = gallery.search(photos / "c" / "new.png", (0, 0, WIDTH, HEIGHT), top=1)
    assert moved.id.tolist() == [hit] and moved.camera == ("door",)
    assert moved.path == (str(photos / "c" / "new.png"),)
    assert gallery.add([photos]).unchanged == 3


def test_two_files_that_exchange_their_names_exchange_their_persons(gallery: Gallery, photos: Path) -> None:
    gallery.add([photos])
    for old, new in (("a.png", "x"), ("b.png", "a.png"), ("x", "b.png")):
        (photos / old).rename(photos / new)
    gallery.add([photos])
    assert gallery.store.count() == 4
    hits = gallery.search(photos / "a.png", (0, 0, WIDTH, HEIGHT), top=1)
    assert hits.path == (str(photos / "a.png"),) and hits.similarity[0] > 0.999
    assert gallery.add([photos]).unchanged == 3


def test_the_same_content_is_kept_once_whatever_its_names(gallery: Gallery, photos: Path) -> None:
    shutil.copy2(photos / "a.png", photos / "z.png")
    added = gallery.add([photos])
    assert (added.new, added.duplicates, images(gallery), gallery.store.count()) == (3, 1, 3, 4)
    assert names(gallery)["z.png"] == "duplicate"
    assert gallery.add([photos]).unchanged == 4
    (photos / "a.png").unlink()  # the copy takes its place
    added = gallery.add([photos])
    assert (added.moved, added.unchanged, images(gallery), gallery.store.count()) == (1, 2, 3, 4)
    assert names(gallery) == {"z.png": "complete", "b.png": "complete", "d.png": "complete"}


def test_processes_share_files_out_and_keep_a_content_once(tmp_path: Path, photos: Path) -> None:
    for number in range(6):
        write_photo(photos / f"{number}.png", [RED] * (number + 1))
        shutil.copy(photos / f"{number}.png", photos / f"copy of {number}.png")
    found = []
    for part in range(3):
        with Gallery.open(tmp_path / "g.gallery", StripePredictor()) as gallery:
            found.append(gallery.add([photos], part=(part, 3)))
            persons, states = gallery.store.count(), names(gallery)
    assert sum(added.new for added in found) == 9 and sum(added.duplicates for added in found) == 6
    assert persons == 4 + 21 and len(states) == 15 and max(added.new for added in found) < 9


def test_a_stop_keeps_what_is_done_and_the_next_call_adds_the_rest(gallery: Gallery, photos: Path) -> None:
    def stop(done: int, total: int, text: str) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        gallery.add([photos], progress=stop)
    assert names(gallery) == {"a.png": "complete", "b.png": "complete"}
    added = gallery.add([photos])
    assert (added.new, added.unchanged, images(gallery)) == (1, 2, 3)


def test_broken_files_are_skipped_and_named_and_lose_nothing(gallery: Gallery, photos: Path) -> None:
    gallery.add([photos])
    content = (photos / "b.png").read_bytes()
    (photos / "b.png").write_bytes(content[:60])
    (photos / "empty.jpg").touch()
    (photos / "clip.mp4").write_bytes(b"x")
    (photos / "phone.heic").write_bytes(b"x")
    added = gallery.add([photos])
    assert {path.name for path, _ in added.skipped} == {"b.png", "empty.jpg", "clip.mp4", "phone.heic"}
    assert "not a video" in dict((path.name, reason) for path, reason in added.skipped)["clip.mp4"]
    assert gallery.store.count() == 4  # those of b.png as it was
    (photos / "b.png").write_bytes(content)
    assert gallery.add([photos / "b.png"]).unchanged == 1


def test_cameras_and_times_are_recorded_and_can_be_added_later(gallery: Gallery, photos: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    exif.get_ifd(0x8769)[0x9003] = "2024:05:01 12:30:00"
    write_photo(photos / "a.png", [RED], exif=exif)
    gallery.add([photos])
    taken, start = datetime(2024, 5, 1, 12, 30).timestamp(), datetime(2024, 5, 2).timestamp()
    assert {source.started_at for source in gallery.sources()} == {taken, None}
    assert gallery.add([photos], camera=lambda path: path.parent.name, start=start).unchanged == 3
    assert {source.started_at for source in gallery.sources()} == {taken, start}
    assert {source.camera for source in gallery.sources()} == {"photos", "c"} and images(gallery) == 3
    gallery.add([photos], camera=lambda path: "new" if path.name == "a.png" else None)
    assert [source.camera for source in gallery.sources()] == ["new", "photos", "c"]
    gallery.add([photos / "a.png"], camera="photos")
    box = (0, 0, WIDTH, HEIGHT)
    assert len(gallery.search(photos / "a.png", box, where=Where(cameras=("c",)))) == 1
    (time,) = gallery.search(photos / "a.png", box, where=Where(end=start)).time
    assert time == taken


def test_boxes_are_those_of_the_upright_photo(gallery: Gallery, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    upright = np.zeros((HEIGHT, 2 * WIDTH, 3), np.uint8)
    upright[:, WIDTH:] = GREEN
    (tmp_path / "turned.png").parent.mkdir(exist_ok=True)
    Image.fromarray(np.ascontiguousarray(np.rot90(upright))).save(tmp_path / "turned.png", exif=exif)
    gallery.add([tmp_path / "turned.png"])
    hits = gallery.search(tmp_path / "turned.png", (WIDTH, 0, 2 * WIDTH, HEIGHT))
    assert hits.boxes.tolist() == [[WIDTH, 0, 2 * WIDTH, HEIGHT]] and hits.similarity[0] > 0.999


def test_hits_are_limited_by_number_similarity_and_source(gallery: Gallery, tmp_path: Path) -> None:
    for number in range(3):
        write_photo(tmp_path / "p" / f"{number}.png", [(200, shade, number) for shade in range(0, 200, 20)])
    gallery.add([tmp_path / "p"])
    query = (tmp_path / "p" / "0.png", (0, 0, WIDTH, HEIGHT))
    every = gallery.search(*query, top=100)
    assert len(every) == 30 and (np.diff(every.similarity) <= 0).all()
    assert gallery.search(*query, top=4).id.tolist() == every.id[:4].tolist()
    one_each = gallery.search(*query, top=20, per_source=1)
    assert sorted(Path(path).name for path in one_each.path) == ["0.png", "1.png", "2.png"]
    two_each = gallery.search(*query, top=5, per_source=2)
    expected = [row for place, row in enumerate(every.source) if list(every.source[:place]).count(row) < 2]
    assert two_each.source.tolist() == expected[:5]
    assert len(gallery.search(*query, min_similarity=0.99)) == (every.similarity[:20] >= 0.99).sum() < 20
    third = float(every.similarity[2])
    assert len(gallery.search(*query, min_similarity=third)) == (every.similarity[:20] >= third).sum() >= 3


def test_a_photo_of_many_similar_persons_does_not_hide_the_others(gallery: Gallery, tmp_path: Path) -> None:
    crowd = write_photo(tmp_path / "p" / "crowd.png", [(200, shade, 0) for shade in range(10)])
    for number in range(3):
        write_photo(tmp_path / "p" / f"{number}.png", [(200, 50 + 20 * number, 0)])
    gallery.add([tmp_path / "p"])
    for top in range(1, 6):
        hits = gallery.search(crowd, (0, 0, WIDTH, HEIGHT), top=top, per_source=1)
        found = [Path(path).name for path in hits.path]
        assert found == ["crowd.png", "0.png", "1.png", "2.png"][:top]


def test_detections_with_a_low_score_are_no_persons(gallery: Gallery, tmp_path: Path) -> None:
    write_photo(tmp_path / "a.png", [RED] * 5)  # scores 0.95, 0.85, 0.75, 0.65, 0.55
    assert gallery.add([tmp_path / "a.png"], min_score=0.7).persons == 3
    hits = gallery.search(tmp_path / "a.png", (0, 0, WIDTH, HEIGHT))
    np.testing.assert_allclose(sorted(hits.score), [0.75, 0.85, 0.95], atol=1e-6)


@pytest.mark.parametrize(
    "box",
    [(5, 5, 5, 9), (9, 0, 3, 9), (500, 0, 600, 9), (0, 0, float("nan"), 9), (1, 2, 3), (-9, -9, -1, -1)],
)
def test_a_box_that_covers_nothing_is_refused(box: tuple[float, ...], gallery: Gallery, photos: Path) -> None:
    with pytest.raises(ConfigError, match=f"in an image of {2 * WIDTH} x {HEIGHT}"):
        gallery.search(photos / "a.png", box)


def test_a_box_is_cut_off_at_the_border(gallery: Gallery, photos: Path) -> None:
    gallery.add([photos])
    assert box_inside((-5, -5, 900, 900), WIDTH, HEIGHT).tolist() == [0, 0, WIDTH, HEIGHT]
    whole, larger = (gallery.search(photos / "b.png", box) for box in ((0, 0, 16, 32), (-5, -5, 900, 900)))
    assert larger.similarity.tolist() == whole.similarity.tolist()


def test_several_examples_ask_for_the_mean_of_their_vectors(gallery: Gallery, photos: Path) -> None:
    gallery.add([photos])
    pixels = read_photo(photos / "a.png").pixels
    examples = gallery.vectors_of(pixels, [(0, 0, WIDTH, HEIGHT), (WIDTH, 0, 2 * WIDTH, HEIGHT)])
    np.testing.assert_allclose(examples, [[1, 0, 0], [0, 1, 0]], atol=1e-6)
    hits = gallery.search_vectors(examples, top=2)
    np.testing.assert_allclose(hits.similarity[1:], 0.5**0.5, atol=1e-6)  # a pure red or green stripe
    dark = np.array(DARK_RED) / np.linalg.norm(DARK_RED)
    np.testing.assert_allclose(hits.similarity[0], (dark[0] + dark[1]) * 0.5**0.5, atol=1e-6)


def test_a_person_of_the_gallery_is_an_example_too(gallery: Gallery, photos: Path) -> None:
    gallery.add([photos])
    (blue,) = gallery.search(photos / "b.png", (0, 0, WIDTH, HEIGHT), top=1).id
    hits = gallery.search_vectors(gallery.store.vectors([blue]), where=Where(), top=1)
    assert hits.id == [blue] and hits.similarity[0] == np.float32(1)


def test_forgotten_persons_do_not_come_back_with_their_unchanged_file(gallery: Gallery, photos: Path) -> None:
    gallery.add([photos])
    hits = gallery.search(photos / "b.png", (0, 0, WIDTH, HEIGHT), top=1)
    assert gallery.forget(hits.id.tolist()) == 1
    assert gallery.add([photos]).unchanged == 3 and gallery.store.count() == 3


def test_the_galleries_files_are_no_photos(tmp_path: Path) -> None:
    with Gallery.open(tmp_path / "g.png", StripePredictor()) as gallery:
        write_photo(tmp_path / "a.jpg", [RED])
        added = gallery.add([tmp_path])
        assert (added.new, added.skipped, added.others) == (1, [], 0)


def test_a_name_that_is_not_utf8_comes_back_as_it_is(gallery: Gallery, tmp_path: Path) -> None:
    path = tmp_path / os.fsdecode(b"caf\xe9.png")
    write_photo(tmp_path / "a.png", [RED]).rename(path)
    gallery.add([path])
    assert gallery.add([path]).unchanged == 1
    (found,) = gallery.search(path, (0, 0, WIDTH, HEIGHT)).path
    assert Path(found) == path


def test_opening_needs_a_gallery_or_a_predictor(tmp_path: Path, photos: Path) -> None:
    place = tmp_path / "none.gallery"
    for predictor in (None, StripePredictor()):
        with pytest.raises(InputFileError, match="no such file"):
            Gallery.open(place, predictor, create=False)
    assert not place.exists()
    with Gallery.open(place, StripePredictor()) as gallery:
        gallery.add([photos])
    with pytest.raises(ConfigError, match="weights"):
        Gallery.open(place, StripePredictor(weights="cd" * 32))
    with Gallery.open(place) as gallery, pytest.raises(ConfigError, match="predictor"):
        gallery.add([photos])


def test_a_network_that_gives_nan_stops_the_work(gallery: Gallery, photos: Path) -> None:
    class Diverged(StripePredictor):
        def embed(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
            return np.zeros((len(boxes), 3), np.float32)

    gallery.predictor = Diverged()
    with pytest.raises(AnnotationError, match="diverged"):
        gallery.add([photos])
    assert not (photos.parent / "g.gallery").exists()


@pytest.mark.parametrize(
    "wrong", [{"min_score": float("nan")}, {"min_score": 50.0}, {"part": (2, 2)}, {"part": (-1, 2)}]
)
def test_options_that_would_add_nobody_are_refused(wrong: dict, gallery: Gallery, photos: Path) -> None:
    with pytest.raises(ConfigError):
        gallery.add([photos], **wrong)


def test_what_looks_like_an_address_is_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"milvus\+"):
        Gallery.open("http://localhost:19530/people", StripePredictor())
