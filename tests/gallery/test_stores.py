"""What every gallery store does: SQLite, and Milvus by Milvus Lite.

Set MASKPS_MILVUS, e.g. http://127.0.0.1:19530, to test on a server instead; its collections test_... remain.
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from gallery_records import DIM, NETWORK, add_photos, literal, matches, persons, refused, source
from stripe_photos import HEIGHT, WIDTH, StripePredictor, write_photo

from maskps.errors import AnnotationError, ConfigError, InputFileError, OutputError
from maskps.gallery import Gallery, GalleryStore, Network, Persons, Source, Where, milvus_store, open_store
from maskps.gallery.milvus_store import MilvusStore
from maskps.gallery.sqlite_store import SqliteStore


@pytest.fixture(scope="session")
def lite_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("milvus")


@pytest.fixture(params=["sqlite", "milvus"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[GalleryStore]:
    made: GalleryStore
    if request.param == "sqlite":
        made = SqliteStore(tmp_path / "gallery.sqlite", NETWORK)
    elif server := os.environ.get("MASKPS_MILVUS"):
        made = MilvusStore(f"milvus+{server}/{tmp_path.name}", NETWORK)
    else:
        pytest.importorskip("milvus_lite", reason="needs: pip install pymilvus milvus-lite")
        folder = request.getfixturevalue("lite_folder")
        made = MilvusStore(f"{folder / 'lite.db'}:{tmp_path.name}", NETWORK)
    yield made
    made.close()


def opened_again(store: GalleryStore, network: Network | None = None) -> GalleryStore:
    if isinstance(store, MilvusStore):
        return MilvusStore(store.address, network)
    assert isinstance(store, SqliteStore)
    return SqliteStore(store.path, network)


@pytest.fixture
def photos(store: GalleryStore) -> GalleryStore:
    add_photos(store)
    return store


@pytest.mark.parametrize("most_rows", [milvus_store.MOST_ROWS, 40])
def test_the_order_is_that_of_a_literal_loop(
    store: GalleryStore, most_rows: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The 80 who look the same are more than Milvus is asked for at first, and than it may return at last."""
    monkeypatch.setattr(milvus_store, "MOST_ROWS", most_rows)
    batch = persons(160)
    batch.vectors[1::2] = batch.vectors[3]
    for start in range(0, 160, 32):
        part = [getattr(batch, field.name)[start : start + 32] for field in dataclasses.fields(batch)]
        store.add(source(f"{start}.jpg"), Persons(*part))
    queries = np.concatenate([batch.vectors[[3, 8]], persons(3, seed=1).vectors])
    rows = list(zip(store.ids(Where()).tolist(), batch.vectors, strict=True))
    for k in (1, 5, 30, 100, 300):
        ids, similarities = store.search(queries, k, Where())
        assert ids.tolist() == [literal(query, rows, k) for query in queries]
        assert ids.shape == similarities.shape == (5, min(k, 160)) and similarities.dtype == np.float32
        assert (np.diff(similarities) <= 0).all()


CONDITIONS = [
    Where(),
    Where(cameras=("gate",)),
    Where(cameras=("gate", "hall", "nowhere")),
    Where(cameras=()),
    Where(sources=(-2, -3, 99)),
    Where(sources=()),
    Where(start=1010.5),
    Where(end=1010.5),
    Where(start=1010.5, end=1060.0),
    Where(min_score=0.75),
    Where(min_score=float(persons(5).scores[1])),
    Where(cameras=("hall",), sources=tuple(range(-7, 0)), start=1000.0, min_score=0.6),
]


def with_numbers(store: GalleryStore, where: Where) -> Where:
    """Replaces the source -n of a filter by the number of the n-th photo."""
    numbers = {int(one.path[8:-4]) + 1: one.id for one in store.sources()}
    return (
        where
        if where.sources is None
        else dataclasses.replace(where, sources=tuple(numbers.get(-one) or 99 for one in where.sources))
    )


@pytest.mark.parametrize("where", CONDITIONS)
def test_a_filter_lets_through_what_meets_all_conditions(photos: GalleryStore, where: Where) -> None:
    where = with_numbers(photos, where)
    everybody = photos.rows(photos.ids(Where()))
    kept = [row.id for row in everybody if matches(row, where)]
    assert len(everybody) == 60 and photos.ids(where).tolist() == kept
    query = persons(1, seed=99).vectors
    rows = list(zip(kept, photos.vectors(kept), strict=True))
    assert photos.search(query, 9, where)[0].tolist() == [literal(query[0], rows, 9)]


def test_rows_and_vectors_are_what_was_added_in_the_order_asked(photos: GalleryStore) -> None:
    batch, ids = persons(5, seed=1, frame_time=0.5), photos.ids(Where())
    last, first = photos.rows(ids[[9, 5]])
    assert [last.id, first.id] == ids[[9, 5]].tolist() and last.source == first.source
    assert (last.source.path, last.camera, last.at) == ("/photos/1.jpg", "gate", 1010.5)
    assert [row.box for row in (last, first)] == [tuple(map(float, batch.boxes[one])) for one in (4, 0)]
    assert [last.score, first.score] == batch.scores[[4, 0]].tolist() and last.frame_time == 0.5
    assert np.array_equal(photos.vectors(ids[[9, 5, 9]]), batch.vectors[[4, 0, 4]])
    assert photos.rows([]) == [] and photos.vectors([]).shape == (0, DIM) and photos.count() == 60
    for read in (photos.rows, photos.vectors):
        with pytest.raises(ConfigError, match="person 7777"):
            read([int(ids[0]), 7777])


def test_a_source_comes_back_as_it_was(store: GalleryStore) -> None:
    video = Source("/v/\udcff.mp4", "video", 2**40, 10**18 + 1, "00", 'the "é" gate', 12.25, "reading", 64.5)
    first = store.add(video, persons(2))
    assert first == dataclasses.replace(video, id=first.id)
    later = dataclasses.replace(first, state="cut off", read_until=70.0, path="/w/new.mp4")
    assert store.add(later, persons(3, seed=1, frame_time=66.0)) == later
    assert store.sources() == [later] and store.count() == 5
    assert len(store.ids(Where(cameras=('the "é" gate',)))) == 5


def test_two_processes_do_not_add_one_part_of_a_video_twice(store: GalleryStore) -> None:
    video = source("v.mp4", kind="video", state="reading", read_until=2.0)
    first = store.add(video, persons(2, frame_time=1.0))
    other = store.add(dataclasses.replace(first, read_until=5.0), persons(2, frame_time=4.0))
    for until, count in ((4.0, 0), (4.0, 2), (6.0, 2)):
        behind, part = dataclasses.replace(first, read_until=until), persons(count, frame_time=5.0)
        refused(OutputError, "another process", lambda one=behind, part=part: store.add(one, part))
    assert store.sources() == [other] and store.count() == 4
    last = store.add(dataclasses.replace(other, read_until=6.0), persons(1, frame_time=5.5))
    moved = store.add(dataclasses.replace(last, path="/w/new.mp4", state="complete"), persons(0))
    assert store.sources() == [moved] and store.count() == 5


NAMES = ["it's", 'a "b"', "100 %", "a\\", '\\"', "%_", "in [1]", "two\nlines", "\x01\x7f", "é 門 😀", " "]


def test_a_camera_may_have_any_name(store: GalleryStore) -> None:
    for name in NAMES:
        store.add(source(f"{NAMES.index(name)}.jpg", camera=name), persons(2))
    for name in NAMES:
        rows = store.rows(store.ids(Where(cameras=(name,))))
        assert [row.camera for row in rows] == [name, name]
    assert len(store.ids(Where(cameras=tuple(NAMES)))) == 2 * len(NAMES)


def test_a_gallery_opened_again_has_its_network_and_takes_no_other(photos: GalleryStore) -> None:
    everybody = photos.rows(photos.ids(Where()))
    photos.close()
    for network in (None, NETWORK, dataclasses.replace(NETWORK, recipe="same weights")):
        again = opened_again(photos, network)
        assert again.network == NETWORK and again.rows(again.ids(Where())) == everybody
        assert [one.id for one in again.sources()] == sorted({row.source.id for row in everybody})
        again.close()
    for change in ({"weights": "cd" * 32}, {"dim": DIM + 1}, {"longest_side": 100}):
        other = dataclasses.replace(NETWORK, **change)
        (name,) = change
        refused(ConfigError, name, lambda other=other: opened_again(photos, other))


class LongerStripes(StripePredictor):
    """Its vectors are as long as those of the stores here."""

    dim = DIM

    def embed(self, image: np.ndarray, boxes: np.ndarray) -> np.ndarray:
        return np.pad(super().embed(image, boxes), ((0, 0), (0, DIM - 3)))


def test_photos_are_added_moved_changed_found_and_forgotten(store: GalleryStore, tmp_path: Path) -> None:
    red, green, blue = (200, 0, 0), (0, 200, 0), (0, 0, 200)
    photos = [
        write_photo(tmp_path / "photos" / f"{number}.png", colours)
        for number, colours in enumerate(([red, green], [blue], [green]))
    ]
    gallery = Gallery(store, LongerStripes())
    assert gallery.add([tmp_path / "photos"], camera="door").new == 3
    assert gallery.add([tmp_path / "photos"]).unchanged == 3 and store.count() == 4
    photos[1].rename(tmp_path / "photos" / "moved.png")
    write_photo(photos[2], [blue, blue, red])
    added = gallery.add([tmp_path / "photos"])
    assert (added.moved, added.changed, added.unchanged, store.count()) == (1, 1, 1, 6)
    hits = gallery.search(photos[2], (0, 0, WIDTH, HEIGHT), top=3, where=Where(cameras=("door",)))
    assert sorted(Path(path).name for path in hits.path) == ["2.png", "2.png", "moved.png"]
    assert hits.similarity.min() > 0.999
    changed = next(one for one in gallery.sources() if one.path == str(photos[2]))
    assert gallery.forget(Where(sources=(changed.id,))) == 3 and len(gallery.sources()) == 2
    assert gallery.forget(hits.id.tolist()) == 1 and store.count() == 2


def test_a_path_that_is_read_anew_replaces_what_was_there(store: GalleryStore) -> None:
    old = store.add(source("a.jpg"), persons(3))
    other = store.add(source("b.jpg"), persons(2, seed=1))
    before = store.ids(Where(sources=(old.id,))).tolist()
    anew = store.add(source("a.jpg", sha256="new"), persons(1, seed=2))
    assert {one.id: one for one in store.sources()} == {other.id: other, anew.id: anew}
    assert store.count() == 3 and not set(before) & set(store.ids(Where()).tolist())
    moved = dataclasses.replace(other, path="/photos/a.jpg")
    assert store.add(moved, Persons.none(DIM)) == moved
    assert store.sources() == [moved] and store.count() == 2
    with pytest.raises(OutputError, match=r"a\.jpg.*\n.*\n.*another process has removed it"):
        store.add(anew, persons(1))
    assert store.sources() == [moved] and store.count() == 2


def test_a_new_camera_or_time_of_a_source_holds_for_its_persons(photos: GalleryStore) -> None:
    photo = next(one for one in photos.sources() if one.camera is None)
    photos.ids(Where())  # those in memory are of before
    changed = photos.add(dataclasses.replace(photo, camera="roof", started_at=5.0), persons(1, seed=90))
    for where in (Where(cameras=("roof",)), Where(end=6.0)):
        rows = photos.rows(photos.ids(where))
        assert len(rows) == 6 and {row.source for row in rows} == {changed}
    assert photos.count() == 61


@pytest.mark.parametrize(
    ("where", "sources_left"),
    [
        (Where(sources=(-2, -3)), 10),
        (Where(sources=()), 12),
        (Where(end=1030.0), 12),
        (Where(cameras=("gate",)), 12),
        (Where(), 0),
        ([0, 16, 59, 59], 12),
        ([], 12),
    ],
)
def test_the_forgotten_are_in_no_search(
    photos: GalleryStore, where: Where | list[int], sources_left: int
) -> None:
    everybody = photos.rows(photos.ids(Where()))
    wanted = with_numbers(photos, where) if isinstance(where, Where) else [everybody[one].id for one in where]
    kept = [
        row.id
        for row in everybody
        if not (matches(row, wanted) if isinstance(wanted, Where) else row.id in wanted)
    ]
    assert photos.forget(wanted) == 60 - len(kept)
    assert photos.forget([7777]) == 0
    found = photos.search(persons(1, seed=99).vectors, 60, Where())[0][0]
    assert sorted(found.tolist()) == photos.ids(Where()).tolist() == kept
    assert len(photos.sources()) == sources_left and photos.count() == len(kept)


def test_another_length_of_vectors_or_no_hits_are_refused(photos: GalleryStore) -> None:
    longer = persons(2, dim=DIM + 1)
    for vectors, k, found in (
        (longer.vectors, 1, "shape (2, 9)"),
        (persons(1).vectors[0], 1, "shape (8,)"),
        (persons(1).vectors, 0, "0"),
    ):
        refused(ConfigError, found, lambda vectors=vectors, k=k: photos.search(vectors, k, Where()))
    refused(ConfigError, "shape (2, 9)", lambda: photos.add(source("a.jpg"), longer))
    for bad in (np.full((1, DIM), np.nan, np.float32), np.ones((1, DIM), np.float32)):
        refused(AnnotationError, "length", lambda bad=bad: photos.search(bad, 1, Where()))


@pytest.mark.parametrize("store", ["milvus"], indirect=True)
@pytest.mark.parametrize("change", [{"camera": "roof"}, {"id": None}])
def test_after_a_crash_in_milvus_a_source_is_read_from_its_start(
    store: GalleryStore, change: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    video = store.add(source("v.mp4", kind="video", state="reading", read_until=2.0), persons(3))
    later = dataclasses.replace(video, state="complete", read_until=4.0, **change)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(MilvusStore, "_insert", interrupted)
        store.add(later, persons(2, frame_time=3.0))
    (left,) = store.sources()
    assert (left.path, left.state, left.read_until) == (video.path, "reading", None)
    again = store.add(dataclasses.replace(later, id=None), persons(4))
    assert store.sources() == [again] and store.count() == 4


def interrupted(*given: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("store", ["milvus"], indirect=True)
def test_a_gallery_that_is_half_made_in_milvus_is_made(photos: GalleryStore) -> None:
    assert isinstance(photos, MilvusStore)
    photos._client.delete(photos._sources, ids=[0])
    refused(InputFileError, "no collections", lambda: opened_again(photos))
    again = opened_again(photos, NETWORK)
    assert again.network == NETWORK and again.count() == 60
    again.close()


@pytest.mark.parametrize("store", ["milvus"], indirect=True)
def test_a_missing_gallery_or_a_newer_format_in_milvus_is_refused(
    photos: GalleryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert isinstance(photos, MilvusStore)
    refused(InputFileError, "no collections", lambda: MilvusStore(f"{photos.address}_not"))
    monkeypatch.setattr(milvus_store, "VERSION", 0)
    refused(InputFileError, "format 1", lambda: MilvusStore(photos.address))


@pytest.mark.parametrize("host", ["127.0.0.1:1", "127.0.0.1:99999", "nowhere.invalid:19530"])
def test_a_server_that_does_not_answer_is_one_message(host: str, capfd: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("pymilvus", reason="needs: pip install pymilvus milvus-lite")
    refused(OutputError, "", lambda: open_store(f"milvus+http://{host}/people", NETWORK))
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "address", ["milvus+http://host:19530", "milvus+ftp://host/x", "milvus+http://h/a-b"]
)
def test_what_is_not_the_address_of_a_gallery_in_milvus_is_refused(address: str) -> None:
    refused(ConfigError, "another form", lambda: open_store(address))


def test_milvus_needs_pymilvus_and_the_message_names_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    for address in ("milvus+https://host:19530/people", Path("milvus+https://host:19530/people")):
        refused(ConfigError, "not installed", lambda address=address: open_store(address))
