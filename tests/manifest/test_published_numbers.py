"""The published numbers agree with each other."""

from __future__ import annotations

import pytest

from maskps_manifest import cuhk_sysu, paper, prw
from maskps_manifest.counts import Counts


def test_the_two_rows_of_table_1_are_the_training_set() -> None:
    assert paper.TABLE_1_WITH_MASKS + paper.TABLE_1_WITHOUT_MASKS == cuhk_sysu.TRAIN
    assert Counts(11_206, 15_085, 40_187) == cuhk_sysu.TRAIN


def test_the_persons_of_table_1_are_those_of_the_text() -> None:
    assert paper.TABLE_1_WITH_MASKS.persons == 9_084
    assert cuhk_sysu.TRAIN.persons == 55_272


def test_training_and_test_images_are_all_images() -> None:
    assert cuhk_sysu.TRAIN.images + cuhk_sysu.TEST.images == cuhk_sysu.IMAGES == 18_184
    assert prw.TRAIN.images + prw.TEST.images == prw.IMAGES == 11_816


def test_the_persons_of_both_data_sets_add_up() -> None:
    assert cuhk_sysu.TEST.persons == 40_871
    assert (prw.TRAIN.persons, prw.TEST.persons) == (18_048, 25_062)


def test_the_image_numbers_without_the_gap_are_all_images() -> None:
    numbers = cuhk_sysu.LAST_NUMBER - cuhk_sysu.FIRST_NUMBER + 1
    assert numbers - len(cuhk_sysu.MISSING_NUMBERS) == cuhk_sysu.IMAGES


def test_one_image_of_five_closes_with_a_last_portion_of_six() -> None:
    portions = cuhk_sysu.TRAIN.images // 5
    assert portions == 2_241
    assert cuhk_sysu.TRAIN.images == 2_240 * 5 + 6


def test_three_appearances_of_train_mat_label_nobody() -> None:
    assert cuhk_sysu.TRAIN_APPEARANCES - cuhk_sysu.TRAIN.labeled == 3


def test_the_true_boxes_of_test_g100_add_up() -> None:
    counts = cuhk_sysu.TEST_G100.truths_per_query
    assert sum(counts) == cuhk_sysu.TEST_G100.queries == cuhk_sysu.QUERIES
    assert sum(boxes * queries for boxes, queries in enumerate(counts, start=1)) == cuhk_sysu.TEST_G100.truths


def test_every_test_image_is_in_a_gallery_of_test_g100() -> None:
    assert cuhk_sysu.TEST_G100.gallery_images == cuhk_sysu.TEST.images


def test_the_low_resolution_subset_is_a_tenth_of_the_queries() -> None:
    assert cuhk_sysu.RESOLUTION_QUERIES * 10 == cuhk_sysu.QUERIES


def test_the_papers_result_is_the_same_in_tables_2_3_and_4() -> None:
    ours, whole, full = paper.TABLE_2[-1], paper.TABLE_3[-1].whole, paper.TABLE_4[-1]
    values = {(row.mean_average_precision, row.top1) for row in (ours, whole, full)}
    assert values == {(86.3, 86.5)}


def test_the_gains_of_the_text_follow_from_table_2() -> None:
    """Sec. 4.3.1: 10.8 % mAP and 7.8 % top-1 over OIM."""
    ours, oim = paper.TABLE_2[-1], next(row for row in paper.TABLE_2 if row.method == "OIM")
    assert ours.mean_average_precision - oim.mean_average_precision == pytest.approx(10.8)
    assert ours.top1 - oim.top1 == pytest.approx(7.8)


def test_all_masks_are_sixteen_percent_of_the_training_images() -> None:
    assert round(100 * paper.TABLE_1_WITH_MASKS.images / cuhk_sysu.TRAIN.images) == 16


def test_results_are_percentages_and_never_fall_with_more_masks() -> None:
    rows = [*paper.TABLE_2, *paper.TABLE_4]
    assert all(0 < row.mean_average_precision < 100 and 0 < row.top1 < 100 for row in rows)
    precisions = [row.mean_average_precision for row in paper.TABLE_4]
    assert precisions == sorted(precisions)
