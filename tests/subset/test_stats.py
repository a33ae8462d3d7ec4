"""Table 1 and totals: the counts, the published ones beside them, and what the data are called."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from maskps.datasets.naming import data_name, published_like, weight_terms
from maskps.structures import PersonSearchDataset, SceneTable
from maskps.subset import (
    build_subset,
    open_record,
    select_subset,
    subset_table,
    table1,
    totals_table,
    with_proportions,
)
from maskps.subset.stats import draw_note
from maskps_manifest import cuhk_sysu, paper, prw


def table() -> SceneTable:
    """Five scenes with 2 LP + 1 UP, 0 + 2, 1 + 0, nobody, 1 + 1."""
    pids = [1, 2, -1, -1, -1, 3, 1, -1]
    return SceneTable(
        names=np.array(list("abcde")),
        offsets=np.array([0, 3, 5, 6, 6, 8], dtype=np.int64),
        boxes=np.tile(np.array([0, 0, 10, 20], dtype=np.float32), (8, 1)),
        pids=np.array(pids, dtype=np.int64),
        is_hard=np.zeros(8, dtype=np.bool_),
    )


def published_size(root: Path, *, first_number: int = 1) -> PersonSearchDataset:
    """A data set with the counts of CUHK-SYSU; with its numbers as well if it begins with s1.jpg."""
    numbers = [n for n in range(first_number, 18_300) if n not in cuhk_sysu.MISSING_NUMBERS]
    rows = np.array([f"s{n}.jpg" for n in numbers[: cuhk_sysu.IMAGES]])
    splits = []
    for start, counts, unlabeled_only in (
        (0, cuhk_sysu.TRAIN, cuhk_sysu.TRAIN_IMAGES_WITHOUT_LABELED),
        (cuhk_sysu.TRAIN.images, cuhk_sysu.TEST, 0),
    ):
        names = np.sort(rows[start : start + counts.images])
        scenes = np.random.default_rng(0).permutation(counts.images)
        labeled = np.resize(scenes[unlabeled_only:], counts.labeled)
        scene = np.concatenate([labeled, np.resize(scenes, counts.unlabeled)])
        pids = np.where(np.arange(counts.persons) < counts.labeled, 1 + np.arange(counts.persons) % 2900, -1)
        order = np.argsort(scene, kind="stable")
        splits.append(
            SceneTable(
                names=names,
                offsets=np.searchsorted(scene[order], np.arange(counts.images + 1)).astype(np.int64),
                boxes=np.tile(np.array([0, 0, 10, 20], dtype=np.float32), (counts.persons, 1)),
                pids=pids[order].astype(np.int64),
                is_hard=np.zeros(counts.persons, dtype=np.bool_),
            )
        )
    ids = np.array([f"p{i}" for i in range(cuhk_sysu.TRAIN_IDENTITIES)])
    return PersonSearchDataset(root, "cuhk-sysu", root, *splits, ids, ids[:2900], "f")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> PersonSearchDataset:
    return published_size(tmp_path_factory.mktemp("published"))


def test_the_rows_count_images_labeled_and_unlabeled_persons() -> None:
    assert asdict(table1(table(), np.array([0, 4]))) == {
        "with_masks": {"images": 2, "labeled": 3, "unlabeled": 2},
        "without_masks": {"images": 3, "labeled": 1, "unlabeled": 2},
    }


def test_both_rows_sum_to_the_training_set_whatever_is_kept() -> None:
    """As the published ones do: 1,833 + 9,373 = 11,206 images, 9,084 + 46,188 = 55,272 persons."""
    for kept in ([], [1], [0, 2, 3], [0, 1, 2, 3, 4]):
        counts = table1(table(), np.array(kept, dtype=np.int64))
        total = counts.with_masks + counts.without_masks
        assert (total.images, total.labeled, total.unlabeled) == (5, 4, 4)


def test_an_empty_table_counts_nothing() -> None:
    empty = table1(table().select([]), np.zeros(0, dtype=np.int64))
    assert asdict(empty.with_masks) == {"images": 0, "labeled": 0, "unlabeled": 0}


def test_the_printed_rows_carry_the_same_numbers() -> None:
    title, columns, rows = table1(table(), np.array([0, 4])).to_table().as_rows()
    assert title == "Table 1"
    assert columns[1:] == ["Images", "Labeled (LP)", "Unlabeled (UP)"]
    assert [row[1:] for row in rows] == [["2", "3", "2"], ["3", "1", "2"], ["5", "4", "4"]]


def test_the_papers_own_list_would_differ_by_nothing(published: PersonSearchDataset, tmp_path: Path) -> None:
    """The difference is our number minus the published one."""
    build_subset(published, tmp_path / "out")
    record, rows = open_record(tmp_path / "out", published)
    content = subset_table(published, record, rows, compare=True).to_dict()
    ours, theirs = content["with_masks"], paper.TABLE_1_WITH_MASKS
    assert content["published"]["with_masks"] == {"images": 1833, "labeled": 2815, "unlabeled": 6269}
    assert content["difference"]["with_masks"] == {
        "images": ours["images"] - theirs.images,
        "labeled": ours["labeled"] - theirs.labeled,
        "unlabeled": ours["unlabeled"] - theirs.unlabeled,
    }
    assert content["difference"]["with_masks"]["images"] == -content["difference"]["without_masks"]["images"]


def test_a_draw_on_data_of_the_published_size_says_that_it_is_not_the_papers(
    published: PersonSearchDataset, tmp_path: Path
) -> None:
    """2,241 portions x 9,716 / 11,206 images with a labeled person = 1,943."""
    record = build_subset(published, tmp_path / "out")
    note = draw_note(published.train, record)
    assert "1,943 +- 1" in note
    assert "1,833" in note
    assert note in subset_table(published, *open_record(tmp_path / "out", published)).note


def test_nothing_is_said_of_other_draws_lists_and_data(
    published: PersonSearchDataset, street: PersonSearchDataset, tmp_path: Path
) -> None:
    record = build_subset(published, tmp_path / "out")
    train = published.train
    assert draw_note(train, replace(record, source="names", portion_size=None)) == ""
    assert draw_note(train, replace(record, per_portion=2)) == ""
    assert draw_note(train.select(range(11_205)), record) == ""
    assert draw_note(street.train, build_subset(street, tmp_path / "street")) == ""


def test_nested_subsets_have_a_row_each(street: PersonSearchDataset, tmp_path: Path) -> None:
    selection = with_proportions(street.train, select_subset(street.train, portion_size=2), "5%,10%,full")
    build_subset(street, tmp_path / "out", selection)
    counts = subset_table(street, *open_record(tmp_path / "out", street))
    assert counts.to_dict()["proportions"] == {
        "5%": {"images": 2, "labeled": 2, "unlabeled": 2},
        "10%": {"images": 4, "labeled": 4, "unlabeled": 4},
    }
    assert [row[0] for row in counts.to_table().as_rows()[2][-2:]] == [
        "Nested subset 5%",
        "Nested subset 10%",
    ]


def test_totals_count_both_splits(street: PersonSearchDataset) -> None:
    assert totals_table(street).to_dict() == {
        "train": {"images": 40, "identities": 40, "labeled": 35, "unlabeled": 40},
        "test": {"images": 3, "identities": 2, "labeled": 3, "unlabeled": 1},
    }


def test_totals_of_the_published_size_differ_by_nothing(published: PersonSearchDataset) -> None:
    difference = totals_table(published, compare=True).to_dict()["difference"]
    assert {value for row in difference.values() for value in row.values()} == {0}


def test_totals_of_prw_are_compared_with_those_of_prw(street: PersonSearchDataset) -> None:
    counts = totals_table(replace(street, kind="prw"), compare=True)
    content = counts.to_dict()
    assert content["published"]["train"] == {
        "images": 5704, "identities": 483, "labeled": 14_907, "unlabeled": 3141,
    }  # fmt: skip
    assert content["published"]["test"]["identities"] is content["difference"]["test"]["identities"] is None
    assert "PRW" in counts.note


def test_totals_in_coco_style_are_compared_with_the_data_set_of_their_size(
    street: PersonSearchDataset, published: PersonSearchDataset
) -> None:
    images = published.train.select(np.arange(prw.TRAIN.images))
    for train, name in ((images, "PRW"), (published.train, "CUHK-SYSU"), (street.train, "CUHK-SYSU")):
        assert published_like(replace(published, kind="coco", train=train)).name == name


def test_only_data_with_the_published_counts_and_names_are_called_cuhk_sysu(
    published: PersonSearchDataset, street: PersonSearchDataset, tmp_path: Path
) -> None:
    assert data_name(published) == "CUHK-SYSU"
    assert data_name(street) == "'street' (layout: CUHK-SYSU)"
    assert data_name(published_size(tmp_path / "shifted", first_number=2)) == "'shifted' (layout: CUHK-SYSU)"
    assert data_name(replace(published, kind="coco", root=tmp_path / "x")) == "'x' (layout: COCO)"


def test_synthetic_data_are_called_so_whatever_their_counts(
    published: PersonSearchDataset, tmp_path: Path
) -> None:
    (tmp_path / "synth.json").write_text("{}")
    assert data_name(replace(published, root=tmp_path)) == f"synthetic data '{tmp_path.name}'"


def test_weights_carry_the_terms_of_published_data_and_of_parts_of_them(
    published: PersonSearchDataset, street: PersonSearchDataset, tmp_path: Path
) -> None:
    terms = weight_terms(published)
    assert terms == f"trained on CUHK-SYSU: {cuhk_sysu.TERMS}" and "academic" in terms
    assert weight_terms(replace(published, kind="coco", root=tmp_path)) == terms
    part = replace(published, train=published.train.select(np.arange(9)), root=tmp_path)
    assert weight_terms(part) == weight_terms(street) == ""
    (tmp_path / "cut.json").write_text("{}")
    assert weight_terms(part) == terms and weight_terms(replace(street, root=tmp_path)) == ""
    (tmp_path / "synth.json").write_text("{}")
    assert weight_terms(part) == weight_terms(replace(published, root=tmp_path)) == ""
