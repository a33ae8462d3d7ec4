"""A subset's record beside its data set: opened, cut to a proportion, built again from the record alone."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from folder_contents import contents_of

from maskps.errors import AnnotationError, ConfigError, InputFileError, MaskpsError
from maskps.masks import outline_from_polygons
from maskps.structures import MaskState, PersonSearchDataset
from maskps.subset import (
    NameList,
    SubsetSelection,
    build_subset,
    open_record,
    open_subset,
    read_subset_record,
    recorded_root,
    select_named,
    select_subset,
    selection_of_record,
    with_proportions,
)

Choose = Callable[[PersonSearchDataset], SubsetSelection]


def drawn(dataset: PersonSearchDataset) -> SubsetSelection:
    return select_subset(dataset.train, seed=7, portion_size=4, per_portion=2, order="number")


def named(dataset: PersonSearchDataset) -> SubsetSelection:
    names = tuple(f"s{number:03}" for number in range(30, 3, -2))
    return select_named(dataset, NameList("names", "names.txt", names, names), seed=3)


def nested(dataset: PersonSearchDataset) -> SubsetSelection:
    return with_proportions(dataset.train, drawn(dataset), "5%,10%,25%")


@pytest.mark.parametrize("choose", [drawn, named, nested])
def test_the_record_alone_gives_the_same_bytes(
    street: PersonSearchDataset, tmp_path: Path, choose: Choose, caplog: pytest.LogCaptureFixture
) -> None:
    first = build_subset(street, tmp_path / "one", choose(street))
    (tmp_path / "mailed.json").write_bytes((tmp_path / "one" / "subset.json").read_bytes())
    caplog.clear()  # of what the list of names gave cause for
    with caplog.at_level(logging.WARNING):
        again = build_subset(street, tmp_path / "two", selection_of_record(street, tmp_path / "mailed.json"))
    assert contents_of(tmp_path / "two") == contents_of(tmp_path / "one")
    assert again.compared_with(first) == "the same as in the record, byte for byte"
    assert not caplog.records


@pytest.mark.parametrize(("choose", "source"), [(drawn, "draw"), (named, "names")])
def test_the_record_says_how_the_images_were_chosen(
    street: PersonSearchDataset, tmp_path: Path, choose: Choose, source: str
) -> None:
    build_subset(street, tmp_path / "out", choose(street))
    record = json.loads((tmp_path / "out" / "subset.json").read_text())
    settings = [record[key] for key in ("source", "portion_size", "per_portion", "order", "seed")]
    assert settings == ([source, 4, 2, "number", 7] if source == "draw" else [source, None, None, None, 3])


def test_other_masks_of_the_same_images_are_noticed(street: PersonSearchDataset, tmp_path: Path) -> None:
    bare = build_subset(street, tmp_path / "one", drawn(street))
    row = int(
        np.flatnonzero(street.train.is_labeled & np.isin(street.train.scene_of_person, drawn(street).kept))[0]
    )
    outline = outline_from_polygons([[(1, 1), (9, 1), (5, 18)]], where="drawn")
    filled = build_subset(street, tmp_path / "two", drawn(street), outlines=lambda rows: {row: outline})
    assert "other masks" in filled.compared_with(bare)
    assert "1 outlines, 0 in the record" in filled.compared_with(bare)


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    return path


def test_a_record_whose_seed_draws_other_images_is_warned_of_and_its_images_are_used(
    street: PersonSearchDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    build_subset(street, tmp_path / "one", drawn(street))
    path = edit(tmp_path / "one" / "subset.json", lambda record: record.update(seed=8))
    with caplog.at_level(logging.WARNING):
        selection = selection_of_record(street, path)
    assert selection.drawn.tolist() == drawn(street).drawn.tolist()
    assert "seed 8 draws other images" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        lambda record: record.update(fingerprint="another"),
        lambda record: record["drawn"].__setitem__(0, "t1.jpg"),
        lambda record: (record["kept"].pop(), record["counts"].update(kept=len(record["kept"]))),
        lambda record: record["kept"].reverse(),
    ],
    ids=["fingerprint", "image", "one kept less", "order"],
)
def test_a_record_that_does_not_fit_the_data_set_is_an_error_with_a_hint(
    street: PersonSearchDataset, tmp_path: Path, change: Callable[[dict[str, Any]], object]
) -> None:
    build_subset(street, tmp_path / "one", drawn(street))
    path = edit(tmp_path / "one" / "subset.json", change)
    with pytest.raises(MaskpsError, match=r"subset\.json(.|\n)*try:"):
        selection_of_record(street, path)


@pytest.fixture
def folder(street: PersonSearchDataset, tmp_path: Path) -> Path:
    """A subset with nested ones, in which every second labeled person has an outline."""

    def outlines(rows: np.ndarray) -> dict[int, Any]:
        train = street.train
        persons = np.flatnonzero(np.isin(train.scene_of_person, rows) & train.is_labeled)[::2]
        triangle = outline_from_polygons([[(1, 1), (9, 1), (5, 18)]], where="drawn")
        return dict.fromkeys(persons.tolist(), triangle)

    build_subset(street, tmp_path / "subset", nested(street), outlines=outlines)
    return tmp_path / "subset"


def test_nested_subsets_are_opened_each_within_the_next(street: PersonSearchDataset, folder: Path) -> None:
    subsets = [open_subset(folder, street, label) for label in ("5%", "10%", "25 %", "full")]
    assert [len(subset.kept_rows) for subset in subsets[:3]] == [2, 4, 10]
    assert [subset.proportion for subset in subsets] == ["5%", "10%", "25%", "full"]
    for smaller, larger in pairwise(subsets):
        assert set(smaller.kept_rows.tolist()) < set(larger.kept_rows.tolist())
        assert (np.diff(smaller.kept_rows) > 0).all()


def test_persons_outside_a_nested_subset_need_no_mask(street: PersonSearchDataset, folder: Path) -> None:
    whole, part = open_subset(folder, street), open_subset(folder, street, "10%")
    is_in = np.isin(street.train.scene_of_person, part.kept_rows)
    np.testing.assert_array_equal(part.masks.states[is_in], whole.masks.states[is_in])
    assert (part.masks.states[~is_in] == MaskState.NOT_APPLICABLE).all()
    assert set(part.masks.outlines) == {row for row in whole.masks.outlines if is_in[row]}
    assert (whole.masks.states[~is_in] != MaskState.NOT_APPLICABLE).any()


def test_without_a_proportion_all_kept_images_are_opened(street: PersonSearchDataset, folder: Path) -> None:
    record, rows = open_record(folder, street)
    whole, full = open_subset(folder, street), open_subset(folder, street, "full")
    assert whole.proportion == full.proportion == "full"
    assert rows.tolist() == whole.kept_rows.tolist() == full.kept_rows.tolist()
    assert len(rows) == record.counts["kept"]


def test_a_proportion_that_is_not_there_is_an_error(street: PersonSearchDataset, folder: Path) -> None:
    with pytest.raises(ConfigError, match="5%, 10%, 25%, full"):
        open_subset(folder, street, "15%")


def test_the_record_of_another_data_set_is_refused(street: PersonSearchDataset, folder: Path) -> None:
    edit(folder / "subset.json", lambda record: record.update(fingerprint="another"))
    with pytest.raises(AnnotationError, match="another data set"):
        open_record(folder, street)


def test_no_change_of_a_record_is_more_than_an_error(street: PersonSearchDataset, folder: Path) -> None:
    """300 random edits: each either opens, or is one MaskpsError."""
    path = folder / "subset.json"
    original = json.loads(path.read_text())
    rng = np.random.default_rng(5)
    values = [None, True, -1, 0, 1, 2**70, 0.5, "", "s001.jpg", "full", [], {}, [[]], ["s001.jpg"], {"3%": 1}]
    refused = 0
    for _ in range(300):
        record = copy.deepcopy(original)
        place: Any = record
        key: Any = rng.choice(list(place))
        if isinstance(place[key], (list, dict)) and len(place[key]) and rng.random() < 0.7:
            place = place[key]
            key = rng.choice(list(place)) if isinstance(place, dict) else int(rng.integers(len(place)))
        place[key] = values[rng.integers(len(values))]
        path.write_text(json.dumps(record))
        try:
            read_subset_record(path)
            selection_of_record(street, path)
            open_subset(folder, street, "10%")
        except MaskpsError as error:
            assert error.hint, error
            refused += 1
    assert refused > 200


def test_a_record_that_is_no_object_is_an_error(tmp_path: Path) -> None:
    for text in ("[]", "3", "null", '"x"', "[" * 100_000, "9" * 5000):
        (tmp_path / "subset.json").write_text(text)
        with pytest.raises(InputFileError):
            read_subset_record(tmp_path / "subset.json")


def test_a_subset_knows_where_its_data_set_is(street: PersonSearchDataset, tmp_path: Path) -> None:
    street.root.mkdir(exist_ok=True)
    build_subset(street, tmp_path / "subset")
    assert recorded_root(tmp_path / "subset").resolve() == street.root.resolve()


def test_a_data_set_that_was_moved_is_asked_for(street: PersonSearchDataset, tmp_path: Path) -> None:
    build_subset(street, tmp_path / "subset")
    record = tmp_path / "subset" / "subset.json"
    record.write_text(record.read_text().replace('"data": "', '"data": "moved/'))
    with pytest.raises(InputFileError, match="--images"):
        recorded_root(tmp_path / "subset")


def test_where_the_data_set_stood_is_no_part_of_the_record(
    street: PersonSearchDataset, tmp_path: Path
) -> None:
    near = build_subset(street, tmp_path / "subset")
    far = build_subset(street, tmp_path / "far" / "away" / "subset")
    assert near.data != far.data
    assert near == far
