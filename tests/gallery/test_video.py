"""Videos: frames by their time stamps whatever the file, and each content once whatever happens to a call."""

from __future__ import annotations

import itertools
import json
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import av
import numpy as np
import pytest
from films import SIZE, shade, stripes, write_film, write_sound
from PIL import Image
from stripe_photos import StripePredictor, write_photo

from maskps.errors import ConfigError, InputFileError, OutputError
from maskps.gallery import Gallery, Where, indexing
from maskps.gallery.hits import Search
from maskps.gallery.hits_files import write_crops, write_hits
from maskps.gallery.summary import detections_of, summary_of
from maskps.gallery.video import Video, open_video, read_frame

UNEVEN = [0, 0.04, 0.5, 0.99, 1.0, 1.001, 3.2, 3.3, 7.9, 8.1, 8.2, 9.0, 9.5, 10.4, 11, 11.1, 14.9, 15.2, 15.3]
"""Seconds at which a camera gave a frame."""


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.open(tmp_path / "g.gallery", StripePredictor()) as opened:
        yield opened


def samples(path: Path, every: float, after: float | None = None) -> tuple[list[float], np.ndarray, bool]:
    """Times, pixels, and whether the file is damaged."""
    with open_video(path) as video:
        frames = list(video.samples(every, after))
        return [one.time for one in frames], np.array([one.pixels for one in frames]), video.is_damaged


def literal_samples(times: list[float], every: float) -> list[float]:
    """The first time of each interval."""
    slots = [round(1000 * time) // round(1000 * every) for time in times]  # 0.3 // 0.1 is 2
    return [time for place, time in enumerate(times) if slots[place] not in slots[:place]]


def all_frames(path: Path) -> dict[int, np.ndarray]:
    """Every frame by its time in milliseconds, as PyAV decodes the whole file."""
    with av.open(path) as container:
        frames = list(container.decode(video=0))
    return {
        round(1000 * float((one.pts - frames[0].pts) * one.time_base)): one.to_ndarray(format="rgb24")
        for one in frames
    }


def rows(gallery: Gallery) -> list[tuple[object, ...]]:
    """All that is kept of each person, but for the numbers."""
    ids = gallery.store.ids(Where())
    vectors = gallery.store.vectors(ids).tolist()
    return [
        (row.source.path, row.frame_time, row.box, row.score, tuple(vector))
        for row, vector in zip(gallery.store.rows(ids), vectors, strict=True)
    ]


@pytest.mark.parametrize("every", [0.1, 0.5, 1.0, 2.5, 4.0, 60.0])
@pytest.mark.parametrize(
    ("name", "codec", "gop", "encoding"),
    [
        ("a.mp4", "libx264", 5, {}),
        ("open groups.mp4", "libx264", 5, {"x264-params": "open-gop=1:bframes=3:b-adapt=0:scenecut=0"}),
        ("no groups.mp4", "libx264", 4, {"x264-params": "intra-refresh=1:bframes=0"}),
        ("a.mkv", "libx264", 100, {}),
        ("a.ts", "libx264", 3, {}),
        ("b.m2ts", "mpeg4", 4, {}),
        ("a.avi", "mpeg4", 4, {}),
    ],
)
def test_samples_are_the_first_frames_of_their_intervals_and_the_right_pictures(
    name: str, codec: str, gop: int, encoding: dict[str, str], every: float, tmp_path: Path
) -> None:
    opening = {"format": "mpegts"} if name.endswith("ts") else {}
    pictures = [stripes(shade(number), shade(number + 5)) for number in range(len(UNEVEN))]
    path = write_film(tmp_path / name, pictures, UNEVEN, codec=codec, gop=gop, encoding=encoding, **opening)
    times, pixels, is_damaged = samples(path, every)
    assert times == literal_samples(UNEVEN, every) and not is_damaged
    whole = all_frames(path)
    for time, one in zip(times, pixels, strict=True):
        assert np.array_equal(one, whole[round(1000 * time)]), time
        assert np.array_equal(read_frame(path, time), one), time


def test_frames_without_time_stamps_of_their_own_follow_the_last_one_that_has(tmp_path: Path) -> None:
    path = tmp_path / "a.mpg"
    with av.open(path, "w") as film:
        stream = film.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = *SIZE, "yuv420p", 12
        for number in range(40):
            film.mux(stream.encode(av.VideoFrame.from_ndarray(stripes(shade(number)), "rgb24")))
        film.mux(stream.encode())
    with av.open(path) as film:
        stamps = [frame.pts for frame in film.decode(video=0)]
    assert len(stamps) == 40 and stamps.count(None) > 20
    found, pixels, is_damaged = samples(path, 0.5)
    assert found == pytest.approx(np.arange(8) / 2) and not is_damaged
    for number, (time, one) in enumerate(zip(found, pixels, strict=True)):
        assert np.abs(one[9, 9].astype(int) - shade(5 * number)).max() < 40
        assert np.array_equal(read_frame(path, time), one)


@pytest.mark.parametrize(
    ("name", "codec", "encoding"),
    [("a.ts", "mpeg4", {}), ("no groups.mp4", "libx264", {"x264-params": "intra-refresh=1:bframes=0"})],
)
def test_a_jump_into_a_film_gives_the_frame_that_all_before_it_give(
    name: str, codec: str, encoding: dict[str, str], tmp_path: Path
) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (SIZE[1], SIZE[0], 3), np.uint8)
    pictures = [np.roll(noise, number, axis=1) for number in range(40)]
    path = write_film(tmp_path / name, pictures, np.arange(40) / 25, codec=codec, gop=12, encoding=encoding)
    for time, pixels in list(zip(*samples(path, 0.001)[:2], strict=True))[::3]:
        with open_video(path) as video:
            found = video.sought(time)
        assert found is not None and np.array_equal(found.pixels, pixels), time


def test_frames_that_no_sample_needs_are_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_film(
        tmp_path / "a.mp4", [stripes(shade(number)) for number in range(60)]
    )  # a key every 2.5 s
    needed = []
    with open_video(path) as video:
        taking = video._needed

        def counted() -> Iterator[object]:
            for packet in taking():
                needed.append(packet)
                yield packet

        monkeypatch.setattr(video, "_needed", counted)
        assert [one.time for one in video.samples(10)] == [0, 10, 20]
    assert len(needed) <= 4 * 8


def test_a_frame_that_a_hit_shows_must_be_there(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", [stripes(shade(number)) for number in range(9)])
    for time in (0.3, 100.0):
        with pytest.raises(InputFileError, match="no frame at"):
            read_frame(path, time)


@pytest.mark.parametrize(
    ("turn", "matrix"),  # ISO/IEC 14496-12, 8.3.2: the matrix maps stored to shown pixels
    [
        (0, (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)),
        (90, (0, 65536, 0, -65536, 0, 0, 0, 0, 1 << 30)),
        (180, (-65536, 0, 0, 0, -65536, 0, 0, 0, 1 << 30)),
        (270, (0, -65536, 0, 65536, 0, 0, 0, 0, 1 << 30)),
    ],
)
def test_a_film_is_upright_whatever_way_the_camera_was_held(
    turn: int, matrix: tuple[int, ...], tmp_path: Path
) -> None:
    upright = stripes((250, 0, 0), (0, 250, 0), (0, 0, 250))
    upright[: SIZE[1] // 2] //= 2
    stored = np.ascontiguousarray(np.rot90(upright, turn // 90))  # shown after a turn clockwise
    path = write_film(tmp_path / "a.mp4", [stored] * 3, rotation=matrix)
    _, (first, *_), _ = samples(path, 1)
    assert first.shape == upright.shape and first.flags.c_contiguous
    assert np.abs(first.astype(int) - upright).mean() < 8
    assert np.array_equal(read_frame(path, 0.0), first)


def test_persons_are_found_with_time_frame_and_place(gallery: Gallery, tmp_path: Path) -> None:
    red, green, blue = (200, 0, 0), (0, 200, 0), (0, 0, 200)
    pictures = [stripes(red)] * 4 + [stripes(red, green)] * 4 + [stripes((0, 0, 0), blue)] * 4
    path = write_film(tmp_path / "films" / "a.mp4", pictures)
    start = datetime(2024, 5, 1, 12).timestamp()
    added = gallery.add([path], camera="door", start=start)
    assert (added.new, added.persons, added.undated, added.skipped) == (1, 3, 0, [])
    query = write_photo(tmp_path / "query.png", [green])
    hits = gallery.search(query, (0, 0, 16, 32), top=1)
    assert hits.path == (str(path),) and hits.camera == ("door",) and hits.similarity[0] > 0.99
    assert hits.rows[0].frame_time == 2.0 and hits.time.tolist() == [start + 2]
    assert hits.boxes.tolist() == [[16, 0, 32, SIZE[1]]]
    detections = detections_of(gallery.store)
    assert detections.image_names.tolist() == [f"{path}#t={time}" for time in ("0.000", "2.000", "4.000")]
    late = gallery.search(query, (0, 0, 16, 32), where=Where(start=start + 3))
    assert [row.frame_time for row in late.rows] == [4.0]
    box = np.array([0, 0, 16, 32], np.float32)
    search = Search("g", query, np.zeros((32, 16, 3), np.uint8), box, gallery.store.network, hits)
    write_hits(tmp_path / "hits.html", search)
    page = (tmp_path / "hits.html").read_text(encoding="utf-8")
    assert page.count("<img ") == 4 and "0:00:02.00" in page
    write_hits(tmp_path / "hits.json", search)
    (hit,) = json.loads((tmp_path / "hits.json").read_text())["hits"]
    assert (hit["frame_time"], hit["path"], hit["is_file_there"]) == (2.0, str(path), True)
    assert write_crops(tmp_path / "crops", search) == 1
    (crop,) = (tmp_path / "crops").glob("*.jpg")
    with Image.open(crop) as image:
        assert image.size == (16, SIZE[1]) and np.abs(np.array(image)[9, 9].astype(int) - green).max() < 12
    os.utime(path, ns=(0, 0))  # to compare the content would mean to read the whole film
    assert write_crops(tmp_path / "crops", search, force=True) == 0
    path.unlink()
    assert write_crops(tmp_path / "crops", search, force=True) == 0


@pytest.mark.parametrize("given", [None, 5.0])
@pytest.mark.parametrize(
    "stated", ["2024-05-01T10:00:00.000000Z", "1970-01-01T00:00:00.000000Z", "1904-01-01T00:00:00Z", None]
)
def test_the_start_is_the_given_one_or_the_files_or_not_known(
    stated: str | None, given: float | None, gallery: Gallery, tmp_path: Path
) -> None:
    metadata = {"creation_time": stated} if stated else {}
    path = write_film(tmp_path / "a.mkv", [stripes((9, 9, 9))] * 4, metadata=metadata)
    added = gallery.add([path], start=given)
    of_file = datetime(2024, 5, 1, 10, tzinfo=UTC).timestamp() if stated and stated[0] == "2" else None
    (source,) = gallery.sources()
    assert source.started_at == (of_file if given is None else given)
    assert added.undated == (source.started_at is None)
    assert gallery.add([path], start=77.0).unchanged == 1
    assert gallery.sources()[0].started_at == 77.0


def test_the_start_may_stand_in_the_pictures_alone(gallery: Gallery, tmp_path: Path) -> None:
    stated = "2024-05-01T10:00:00.000000Z"
    path = write_film(tmp_path / "a.mp4", [stripes((9, 9, 9))] * 4, metadata={"creation_time": stated})
    content = bytearray(path.read_bytes())
    place = content.index(b"mvhd") + 8  # ISO/IEC 14496-12, 8.2.2: four bytes of version and flags come first
    content[place : place + 4] = bytes(4)
    path.write_bytes(content)
    gallery.add([path])
    assert gallery.sources()[0].started_at == datetime(2024, 5, 1, 10, tzinfo=UTC).timestamp()


def test_music_with_a_cover_is_not_a_film(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(path, "w") as film:
        cover, sound = film.add_stream("png"), film.add_stream("aac", rate=8000)
        cover.width, cover.height, cover.pix_fmt = 32, 32, "rgb24"
        cover.disposition = av.stream.Disposition.attached_pic
        film.mux(cover.encode(av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")))
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 8000
        film.mux(sound.encode(frame))
        film.mux(sound.encode())
    with av.open(path) as film:
        assert len(film.streams.video) == 1
    with pytest.raises(InputFileError, match="only sound"):
        samples(path, 1)


def test_who_stands_still_is_kept_once_in_ten_minutes(gallery: Gallery, tmp_path: Path) -> None:
    still, walker = (200, 60, 20), (20, 60, 200)
    rng = np.random.default_rng(0)
    pictures = []
    for number in range(20):
        picture = stripes(still).astype(float) + rng.normal(0, 4, (SIZE[1], SIZE[0], 3)) * (
            stripes(still) > 0
        )
        picture[:, 16 + 16 * (number % 3) : 32 + 16 * (number % 3)] = walker
        pictures.append(picture.clip(0, 255).astype(np.uint8))
    path = write_film(tmp_path / "a.mp4", pictures, [50.0 * number for number in range(20)])
    gallery.add([path], every=50)
    found = [(row.box[0], row.frame_time) for row in gallery.store.rows(gallery.store.ids(Where()))]
    assert [time for left, time in found if left == 0] == [0, 600]
    assert sorted(left for left, time in found if left and time < 600) == [16, 32, 48]


def test_another_person_at_the_same_place_is_kept(gallery: Gallery, tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", [stripes((200, 0, 0))] * 4 + [stripes((0, 0, 200))] * 4)
    assert gallery.add([path]).persons == 2


class Stop(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("frames", [1, 3, 4, 7, 8, 11, 12])
def test_a_stop_loses_a_batch_at_most_and_the_rest_is_added_as_if_there_had_been_none(
    frames: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "BATCH", 4)
    pictures = [stripes(*[shade(number // 2)] * (1 + number // 14), shade(number)) for number in range(26)]
    path = write_film(tmp_path / "a.mp4", pictures)
    with Gallery.open(tmp_path / "whole.gallery", StripePredictor()) as gallery:
        gallery.add([path])
        expected = rows(gallery)
    assert len(expected) > 12

    class Stopping(StripePredictor):
        def detect(self, image: np.ndarray) -> object:
            if self.images == frames:
                raise Stop
            return super().detect(image)

    place = tmp_path / "stopped.gallery"
    with Gallery.open(place, Stopping()) as gallery, pytest.raises(Stop):
        gallery.add([path])
    with Gallery.open(place, StripePredictor()) as gallery:
        states = [(source.state, source.read_until) for source in gallery.sources()]
        assert states == ([("reading", frames // 4 * 4 - 1.0)] if frames >= 4 else [])
        assert summary_of(gallery.store).unfinished == ((str(path),) if frames >= 4 else ())
        assert rows(gallery) == [row for row in expected if row[1] < frames // 4 * 4]
        moved = path.rename(tmp_path / "moved.mp4") if frames == 8 else path
        added = gallery.add([moved])
        assert (added.new, gallery.predictor.images) == (1, 13 - frames // 4 * 4)
        assert [row[1:] for row in rows(gallery)] == [row[1:] for row in expected]
        assert [(one.path, one.state) for one in gallery.sources()] == [(str(moved), "complete")]
        assert gallery.add([moved]).unchanged == 1


def test_a_copy_leaves_alone_what_is_being_read(
    gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "BATCH", 2)
    path = write_film(tmp_path / "a.mp4", [stripes(shade(number)) for number in range(12)])
    with monkeypatch.context() as patch, pytest.raises(Stop):
        patch.setattr(indexing, "open_video", stopping_after(4))
        gallery.add([path])
    (begun,) = gallery.sources()
    copy = Path(shutil.copy(path, tmp_path / "b.mp4"))
    assert gallery.add([copy]).new == 1
    assert gallery.sources()[0] == begun  # another process may be reading it
    expected = [row[1:] for row in rows(gallery) if row[0] == str(copy)]
    assert len(expected) == 6 and gallery.add([path]).duplicates == 1
    assert [row[1:] for row in rows(gallery)] == expected


def stopping_after(count: int) -> Callable[[Path], Any]:
    """Returns `open_video` with a stop after so many samples."""

    @contextmanager
    def opened(path: Path) -> Iterator[Any]:
        with open_video(path) as video:

            def samples(*arguments: Any) -> Iterator[Any]:
                yield from itertools.islice(Video.samples(video, *arguments), count)
                raise Stop

            video.samples = samples  # type: ignore[method-assign]
            yield video

    return opened


def test_a_film_that_has_changed_keeps_its_camera(gallery: Gallery, tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", [stripes(shade(1))] * 4)
    gallery.add([path], camera="door")
    shutil.copy(path, tmp_path / "b.mp4")
    write_film(path, [stripes(shade(2))] * 4)
    added = gallery.add(
        [path, tmp_path / "b.mp4"]
    )  # the content of the second is no longer that of the first
    assert (added.changed, added.new) == (1, 1)
    assert [one.camera for one in gallery.sources()] == ["door", None]


@pytest.mark.parametrize("frames", [2, 6])
def test_two_calls_at_once_keep_the_persons_of_a_film_once(
    frames: int, gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(indexing, "BATCH", 4)
    path = write_film(tmp_path / "a.mp4", [stripes(shade(number)) for number in range(30)])
    gallery.add([path])
    expected = rows(gallery)
    gallery.forget(Where())

    class Meanwhile(StripePredictor):
        def detect(self, image: np.ndarray) -> object:
            if self.images == frames:
                assert gallery.add([path]).new == 1
            return super().detect(image)

    with Gallery.open(tmp_path / "g.gallery", Meanwhile()) as other:
        if frames == 6:  # after a batch that the other call continued behind
            with pytest.raises(OutputError, match="another process reads the same video"):
                other.add([path])
        else:
            other.add([path])
    assert rows(gallery) == expected


def test_persons_behind_the_last_batch_are_read_again(gallery: Gallery, tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.mp4", [stripes(shade(number)) for number in range(12)])
    gallery.add([path])
    expected = rows(gallery)
    # A store without transactions may have persons, and not the source that belongs to them.
    gallery.store._db.execute("UPDATE source SET state = 'reading', read_until = 2.0")
    gallery.add([path])
    assert rows(gallery) == expected


def test_a_film_is_read_once_whatever_its_names_and_steps(gallery: Gallery, tmp_path: Path) -> None:
    path = write_film(tmp_path / "f" / "a.mp4", [stripes(shade(number)) for number in range(8)])
    shutil.copy(path, tmp_path / "f" / "b.mp4")
    added = gallery.add([tmp_path / "f"], camera="door")
    assert (added.new, added.duplicates) == (1, 1)
    images, kept = gallery.predictor.images, rows(gallery)
    assert gallery.add([tmp_path / "f"], every=0.5).unchanged == 2
    path.rename(tmp_path / "f" / "c.mp4")
    (tmp_path / "f" / "b.mp4").unlink()
    assert gallery.add([tmp_path / "f"]).moved == 1
    assert gallery.predictor.images == images and len(rows(gallery)) == len(kept) == 4
    write_film(tmp_path / "f" / "c.mp4", [stripes(shade(7))] * 2)
    assert gallery.add([tmp_path / "f"]).changed == 1 and len(rows(gallery)) == 1
    gallery.forget(Where(sources=(gallery.store.rows(gallery.store.ids(Where()))[0].source.id,)))
    assert gallery.add([tmp_path / "f"], every=0.5).new == 1


@pytest.mark.parametrize(("name", "opening"), [("a.mp4", {"movflags": "faststart"}), ("a.mkv", {})])
def test_a_film_that_is_cut_off_gives_what_is_left_of_it(
    name: str, opening: dict[str, str], gallery: Gallery, tmp_path: Path
) -> None:
    rng = np.random.default_rng(1)
    pictures = [
        np.maximum(stripes(shade(number)), rng.integers(0, 9, (48, 64, 3), np.uint8)) for number in range(40)
    ]
    path = write_film(tmp_path / name, pictures, options=opening)
    whole, _, is_damaged = samples(path, 1)
    assert len(whole) == 20 and not is_damaged
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 6 // 10])
    added = gallery.add([path])
    (source,) = gallery.sources()
    assert (added.new, added.skipped, added.cut_off, source.state) == (1, [], [path], "cut off")
    assert 5 < source.read_until < 15 and len({row[1] for row in rows(gallery)}) >= 5
    summary = summary_of(gallery.store)
    assert (summary.photos, summary.videos, summary.cut_off) == (0, 1, (str(path),))
    images = gallery.predictor.images
    shutil.copy(path, tmp_path / f"copy of {name}")
    added = gallery.add([path, tmp_path / f"copy of {name}"])
    assert (added.unchanged, added.duplicates, gallery.predictor.images) == (1, 1, images)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.flv", "a.ts", "a.mpg"])
def test_a_clock_that_runs_already_when_a_film_begins_is_not_damage(name: str, tmp_path: Path) -> None:
    noise = np.random.default_rng(1).integers(0, 9, (SIZE[1], SIZE[0], 3), np.uint8)
    pictures = [np.maximum(stripes(shade(number)), noise) for number in range(40)]
    times = 100 + np.arange(40) / 2
    options = {"movflags": "faststart"} if name == "a.mp4" else {}
    path = write_film(tmp_path / name, pictures, times, gop=4, options=options)
    found, _, is_damaged = samples(path, 2)
    assert found[0] == 0 and not is_damaged
    if name in ("a.mp4", "a.mkv"):  # which state their length
        with av.open(path) as film:
            end = [packet.pos for packet in film.demux(video=0)][24]
        path.write_bytes(path.read_bytes()[:end])  # where no packet is cut
        assert samples(path, 2)[2]


def test_two_recordings_in_one_file_are_read_up_to_the_second_one(tmp_path: Path) -> None:
    path = write_film(tmp_path / "a.ts", [stripes(shade(number)) for number in range(20)])
    path.write_bytes(path.read_bytes() * 2)
    times, _, is_damaged = samples(path, 1)
    assert times == list(range(10)) and is_damaged


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_sound_that_lasts_longer_than_the_pictures_is_not_damage(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    with av.open(path, "w") as film:
        pictures, sound = film.add_stream("libx264", rate=2), film.add_stream("aac", rate=8000)
        pictures.width, pictures.height, pictures.pix_fmt = *SIZE, "yuv420p"
        for number in range(4):
            film.mux(pictures.encode(av.VideoFrame.from_ndarray(stripes(shade(number)), "rgb24")))
        film.mux(pictures.encode())
        for number in range(40):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 8000, 1024 * number
            film.mux(sound.encode(frame))
        film.mux(sound.encode())
    times, _, is_damaged = samples(path, 0.5)
    assert times == [0, 0.5, 1, 1.5] and not is_damaged


def test_a_disk_that_fails_leaves_what_was_read_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_film(tmp_path / "a.mkv", [stripes(shade(number)) for number in range(20)])
    with open_video(path) as video:
        packets = list(video._container.demux(video._stream))[:11]

        def failing(*_: object) -> Iterator[Any]:
            yield from packets
            raise OSError(5, "Input/output error")

        streams = video._container.streams
        monkeypatch.setattr(video, "_container", SimpleNamespace(demux=failing, streams=streams))
        assert [one.time for one in video.samples(1)] == [0, 1, 2, 3, 4] and video.is_damaged


def test_frames_that_cannot_be_decoded_are_left_out_and_the_film_is_marked(
    gallery: Gallery, tmp_path: Path
) -> None:
    path = write_film(tmp_path / "a.mp4", [stripes(shade(number)) for number in range(12)], gop=1)
    with av.open(path) as film:
        packet = [one for one in film.demux(video=0) if one.size][4]
    content = bytearray(path.read_bytes())
    content[packet.pos : packet.pos + packet.size] = bytes(packet.size)
    path.write_bytes(content)
    times, _, is_damaged = samples(path, 1)
    assert times == [0, 1, 2.5, 3, 4, 5] and is_damaged
    gallery.add([path])
    assert gallery.sources()[0].state == "cut off"


def test_frames_that_the_decoder_calls_corrupt_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_film(tmp_path / "a.mp4", [stripes(shade(number)) for number in range(12)])
    whole = [0, 1, 2, 3, 4, 5]  # of the second frame, too, which is the first if that one is corrupt
    cases = ((4, [0, 1, 2.5, 3, 4, 5], True), (5, whole, False), (0, whole, True))
    for corrupt, expected, is_marked in cases:
        with open_video(path) as video:
            monkeypatch.setattr(video, "_needed", partial(_with_corrupt_frame, video._packets, corrupt))
            assert [one.time for one in video.samples(1)] == expected
            assert video.is_damaged == is_marked


def _with_corrupt_frame(packets: Callable[[], Iterator[Any]], corrupt: int) -> Iterator[Any]:
    """Yields stand-ins for packets, which mark one frame, by its number, as corrupt."""
    for packet in packets():
        frames = [
            SimpleNamespace(
                **{name: getattr(frame, name) for name in FRAME}, is_corrupt=round(2 * frame.time) == corrupt
            )
            for frame in packet.decode()
        ]
        yield SimpleNamespace(decode=lambda frames=frames: frames)


FRAME = ("pts", "pict_type", "width", "height", "rotation", "to_ndarray")
"""What is used of a frame."""


def test_what_is_no_video_is_named_with_the_reason(
    gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "f"
    whole = write_film(folder / "good.mp4", [stripes((9, 99, 9))] * 4).read_bytes()
    write_sound(folder / "sound.mp4")
    (folder / "text.mp4").write_text("no film at all\n" * 99)
    (folder / "empty.mkv").touch()
    (folder / "no index.mov").write_bytes(whole[: len(whole) // 2])
    (folder / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/a.ts\n#EXT-X-ENDLIST\n")
    (folder / "other list.mp4").write_text("ffconcat version 1.0\nfile good.mp4\n")
    Image.fromarray(stripes((9, 99, 9))).save(folder / "photo.mp4", "JPEG")
    whole = write_film(folder / "damaged.mp4", [stripes((9, 99, 9))] * 4, options={"movflags": "faststart"})
    content, start = whole.read_bytes(), whole.read_bytes().index(b"mdat") + 4
    whole.write_bytes(content[:start] + bytes(len(content) - start))
    with av.open(folder / "no frames.mkv", "w") as film:
        stream = film.add_stream("mpeg4", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        film.start_encoding()
    os.mkfifo(folder / "pipe.avi")
    added = gallery.add([folder])
    reasons = {path.name: reason for path, reason in added.skipped}
    assert added.new == 1 and gallery.store.count() == 1
    for name, reason in {
        "sound.mp4": "only sound",
        "text.mp4": "not a video",
        "empty.mkv": "0 bytes",
        "no index.mov": "cut off before its index",
        "list.mp4": "not a video",
        "other list.mp4": "not a video",
        "photo.mp4": "not a video",
        "damaged.mp4": "no frame that can be decoded",
        "no frames.mkv": "End of file",
        "pipe.avi": "pipe",
    }.items():
        assert reason in reasons.pop(name), name
    assert not reasons
    monkeypatch.setenv("MASKPS_MAX_PIXELS", "1000")
    write_film(folder / "good.mp4", [stripes((9, 9, 99))] * 4)
    added = gallery.add([folder / "good.mp4"])
    assert "64 x 48 pixels" in added.skipped[0][1] and gallery.store.count() == 1


def test_without_pyav_photos_are_added_and_videos_named(
    gallery: Gallery, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_photo(tmp_path / "f" / "a.png", [(200, 0, 0)])
    path = write_film(tmp_path / "f" / "a.mp4", [stripes((200, 0, 0))] * 4)
    known = write_film(tmp_path / "f" / "known.mp4", [stripes((0, 200, 0))] * 4)
    gallery.add([known])
    monkeypatch.setitem(sys.modules, "av", None)
    added = gallery.add([tmp_path / "f"])
    assert (added.new, added.unchanged) == (1, 1)
    ((skipped, reason),) = added.skipped
    assert skipped == path and "pip install 'maskps[video]'" in reason


def test_pixels_that_are_not_square_become_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.mkv"
    with av.open(path, "w") as film:
        stream = film.add_stream("libx264", rate=5)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        stream.codec_context.sample_aspect_ratio = 2
        film.mux(stream.encode(av.VideoFrame.from_ndarray(stripes((200, 0, 0)), "rgb24")))
        film.mux(stream.encode())
    _, (first,), _ = samples(path, 1)
    assert first.shape == (48, 128, 3)
    monkeypatch.setenv("MASKPS_MAX_PIXELS", "4000")
    with pytest.raises(InputFileError, match="frames of 128 x 48 pixels"):
        samples(path, 1)


@pytest.mark.parametrize("every", [0.0, -1.0, float("nan"), float("inf")])
def test_a_step_must_be_a_time(every: float, gallery: Gallery, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="every"):
        gallery.add([tmp_path], every=every)
