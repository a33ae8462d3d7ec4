"""The grid of Table 4: its table against numbers worked out by hand, and what an interruption leaves."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from maskps.datasets import open_dataset
from maskps.errors import ConfigError, InputFileError, OutputExistsError, TrainingError
from maskps.evaluation.ablation_rows import ARMS, changes_of
from maskps.evaluation.ablation_table import read_results, write_result
from maskps.evaluation.mask_quality import measure_masks
from maskps.evaluation.paired import holm
from maskps.masks.outlined_persons import PersonOutlines
from maskps.structures import PersonSearchDataset
from maskps.subset import open_subset, select_subset, with_proportions
from maskps.training import (
    AblationTable,
    Cell,
    CellResult,
    GridPlan,
    GridReport,
    SceneDataset,
    TrainConfig,
    load_run,
    parse_arms,
    parse_grid,
    run_grid,
)
from maskps.training import ablation as grid_module
from maskps.training.data import batches_of_steps
from maskps_annotation import build_subset_from_labelme, person_outlines_from_labelme

MakeConfig = Callable[..., TrainConfig]


def result(row: str, seed: int, mean_ap: float, top1: float = 0.5) -> CellResult:
    return CellResult(row, seed, images=3, persons=4, search={"mAP": mean_ap, "top1": top1})


def table_names(table: AblationTable) -> list[str]:
    return [row.name for row in table.rows]


def table_of(*results: CellResult, data: str = "synthetic data 'scenes'") -> AblationTable:
    return AblationTable.of(data, "TestG100", results)


# What is asked for.


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("0,3,6,9,12,15,full", ("0%", "3%", "6%", "9%", "12%", "15%", "full")),
        ("full, 3%, 0", ("0%", "3%", "full")),
        ("0", ("0%",)),
        ("1.5", ("1.5%",)),
        ("0.0%,FULL", ("0%", "full")),
    ],
)
def test_proportions_are_percent_and_zero_is_without_masks(text: str, labels: tuple[str, ...]) -> None:
    assert parse_grid(text) == labels


@pytest.mark.parametrize("text", ["", "3,,6", "three", "101", "-3", "3,3%"])
def test_what_is_no_percentage_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="proportion"):
        parse_grid(text)


@pytest.mark.parametrize(
    ("row", "folder"),
    [
        *[("0%", "p00_s7"), ("3%", "p03_s7"), ("1.5%", "p01.5_s7"), ("12%", "p12_s7"), ("full", "pfull_s7")],
        *[("none", "none_s7"), ("masks", "masks_s7")],
    ],
)
def test_a_cell_names_its_folder(row: str, folder: str) -> None:
    assert Cell(row, 7).folder == folder


def test_arms_stand_in_the_order_of_the_table() -> None:
    assert parse_arms(" shuffled,none, masks") == ("none", "masks", "shuffled")


@pytest.mark.parametrize("text", ["", "none,,masks", "masks,mask", "full", "none,masks,none", "Masks"])
def test_what_is_no_arm_is_refused_with_all_arms(text: str) -> None:
    with pytest.raises(ConfigError, match="none, masks, shuffled"):
        parse_arms(text)


@pytest.mark.parametrize(
    ("rows", "seeds"), [(("0%", "masks"), (0,)), ((), (0,)), (("masks",), ()), (("masks",), (1, 1))]
)
def test_a_plan_has_rows_of_one_kind_and_each_seed_once(
    rows: tuple[str, ...], seeds: tuple[int, ...]
) -> None:
    with pytest.raises(ConfigError, match=r"not both|each once"):
        GridPlan(rows, seeds)


# The table.


def test_mean_and_spread_are_those_worked_out_by_hand() -> None:
    """mAP 0.2, 0.4 without masks and 0.3, 0.6 with: means 0.3 and 0.45; differences 0.1 and 0.2."""
    table = table_of(
        result("full", 1, 0.6), result("0%", 0, 0.2), result("full", 0, 0.3), result("0%", 1, 0.4)
    )
    without, full = table.rows
    assert (without.name, full.name, full.seeds) == ("0%", "full", (0, 1))
    assert without.results["mAP"].mean == pytest.approx(0.3)
    assert without.results["mAP"].deviation == pytest.approx(0.02**0.5)
    assert full.results["mAP"].mean == pytest.approx(0.45)
    difference = full.differences["mAP"]
    assert difference is not None
    assert (difference.mean, difference.deviation) == (pytest.approx(0.15), pytest.approx(0.005**0.5))
    assert without.differences["mAP"] is None


def test_a_difference_is_paired_by_seed() -> None:
    """Seeds differ by 20 points, masks give 0.9, 1.0 and 1.1: unpaired, the interval would hide it."""
    table = table_of(
        *(result("0%", seed, 0.2 * seed) for seed in range(3)),
        *(result("3%", seed, 0.2 * seed + 0.009 + 0.001 * seed) for seed in range(3)),
    )
    difference = table.rows[1].differences["mAP"]
    assert difference is not None and difference.deviation == pytest.approx(0.001)
    assert table.to_table().as_rows()[2][1][-4] == "+1.0 [+0.8, +1.2]"


def test_a_difference_has_its_interval_and_a_p_for_all_comparisons() -> None:
    """Two seeds, mAP +3 and -1: 1 ± 12.706 * 2; top-1 +2 and +3: 2.5 ± 12.706 * 0.5.

    With one degree of freedom, p = 1 - 2 atan(t) / pi; t is 0.5 and 5. Holm doubles the smaller p.
    """
    table = table_of(
        *(result("0%", seed, 0.5, 0.5) for seed in (0, 1)),
        *(result("3%", 0, 0.53, 0.52), result("3%", 1, 0.49, 0.53)),
    )
    shown, content = table.to_table(), table.to_dict()
    assert shown.as_rows()[1][-4:] == ["mAP - no masks", "p (mAP)", "top-1 - no masks", "p (top-1)"]
    assert shown.as_rows()[2][1][-4:] == ["+1.0 [-24.4, +26.4]", "0.705", "+2.5 [-3.9, +8.9]", "0.251"]
    assert shown.as_rows()[2][0][-4:] == ["-"] * 4
    assert "Holm's correction for 2 comparisons" in shown.note
    map_p, top1_p = (1 - 2 * math.atan(t) / math.pi for t in (0.5, 5))
    expected = {"mean": 0.025, "deviation": 0.01 / 2**0.5, "seeds": 2, "p": top1_p, "p_holm": 2 * top1_p}
    expected |= {"low": 0.025 - 12.7062 * 0.005, "high": 0.025 + 12.7062 * 0.005}
    row = list(csv.DictReader(io.StringIO(shown.to_text("csv"))))[1]
    found = {name: float(row[f"top1_difference_{name}"]) for name in expected}
    assert found == pytest.approx(expected, abs=1e-6) == content["rows"][1]["top1_difference"]
    assert content["rows"][1]["mAP_difference"]["p_holm"] == pytest.approx(map_p)


def test_all_rows_and_metrics_are_one_family() -> None:
    """Two rows, two metrics: each p counts four times at most, whatever its row."""
    table = table_of(
        *(result("0%", seed, 0.5, 0.5) for seed in range(3)),
        *(result("3%", seed, 0.51 + 0.001 * seed, 0.5 + 0.01 * seed) for seed in range(3)),
        *(result("full", seed, 0.52 + 0.01 * seed, 0.5 - 0.02 * seed**2) for seed in range(3)),
    )
    assert "for 4 comparisons" in table.to_table().note
    differences = [row.differences[metric] for row in table.rows[1:] for metric in ("mAP", "top1")]
    p = [one.p for one in differences if one is not None and one.p is not None]
    assert [one.p_holm for one in differences if one is not None] == pytest.approx(holm(p))
    assert len(p) == 4 and differences[0] is not None
    assert differences[0].p_holm == pytest.approx(4 * min(p))


def test_seeds_without_a_partner_count_in_the_mean_only() -> None:
    table = table_of(result("0%", 0, 0.5), result("3%", 0, 0.6), result("3%", 1, 0.9))
    row = table.rows[1]
    difference = row.differences["mAP"]
    assert difference is not None
    assert (row.results["mAP"].mean, difference.mean, difference.count) == (0.75, pytest.approx(0.1), 1)


def test_one_seed_has_no_interval_and_the_table_says_so() -> None:
    table = table_of(result("0%", 0, 0.5), result("3%", 0, 0.6)).to_table()
    assert table.as_rows()[2][1][-6:] == ["60.0", "50.0", "+10.0", "-", "0.0", "-"]
    assert "A difference of one seed" in table.note and "Holm" not in table.note


def test_a_grid_without_differences_has_no_note_about_them() -> None:
    note = table_of(result("0%", 0, 0.5), result("0%", 1, 0.6)).to_table().note
    assert note == "Percent. ±: standard deviation over the seeds (n - 1)."


def test_rows_rise_and_full_is_last() -> None:
    table = table_of(*(result(label, 0, 0.5) for label in ("full", "12%", "3%", "0%", "1.5%")))
    assert [row.name for row in table.rows] == ["0%", "1.5%", "3%", "12%", "full"]


def test_published_numbers_stand_beside_the_data_they_are_of_only() -> None:
    """Table 4: 85.1 and 85.2 at 3 %, 86.3 and 86.5 for all; none without masks."""
    results = [result(label, 0, 0.5) for label in ("0%", "3%", "full")]
    _, heads, rows = table_of(*results, data="CUHK-SYSU").to_table().as_rows()
    assert heads[-2:] == ["published mAP", "published top-1"]
    assert [row[-2:] for row in rows] == [["-", "-"], ["85.1", "85.2"], ["86.3", "86.5"]]
    for other in (table_of(*results), AblationTable.of("CUHK-SYSU", "TestG50", results)):
        assert "published" not in other.to_table().to_text("markdown").lower()
        assert all(row.published is None for row in other.rows)


def test_arms_are_rows_with_the_difference_that_the_outlines_make() -> None:
    """Seeds 0 and 1: masks gain 4 and 6 on none, 3 and 1 on shuffled; seed 2 has no shuffled outlines."""
    table = table_of(
        *(result("shuffled", 0, 0.51), result("shuffled", 1, 0.65)),
        *(result("masks", 0, 0.54), result("masks", 1, 0.66), result("masks", 2, 0.75)),
        *(result("none", 0, 0.50), result("none", 1, 0.60), result("none", 2, 0.70)),
    )
    assert [row.name for row in table.rows] == ["none", "masks", "shuffled", "masks - shuffled"]
    *_, further = table.rows
    assert further.seeds == (0, 1)
    difference = further.differences["mAP"]
    assert difference is not None and (difference.mean, difference.count) == (pytest.approx(0.02), 2)
    shown = table.to_table()
    title, heads, rows = shown.as_rows()
    assert "Table 4" not in title
    assert heads[0] == "arm" and "mAP, difference" in heads
    assert rows[3][:6] == ["masks - shuffled", "-", "-", "2", "-", "-"]
    assert "masks - shuffled is the difference" in shown.note
    assert "for 3 comparisons" in shown.note  # of mAP; top-1 is equal everywhere


def test_persons_with_masks_are_a_mean_as_each_seed_draws_its_images() -> None:
    one, other = result("3%", 0, 0.5), dataclasses.replace(result("3%", 1, 0.5), persons=7)
    table = table_of(one, other)
    assert table.rows[0].persons == 5.5
    assert table.to_table().as_rows()[2][0][:3] == ["3%", "3", "6"]


def test_measures_with_outlines_are_columns_where_they_were_measured() -> None:
    """Without a mask loss there are no masks to measure, but there is a sensitivity."""
    of_masks = {"mask_iou": 0.7, "mean_mask_iou": 0.6, "background_sensitivity": 0.1}
    table = table_of(
        dataclasses.replace(result("none", 0, 0.5), measured={"background_sensitivity": 0.2}),
        dataclasses.replace(result("masks", 0, 0.5), measured=of_masks),
        dataclasses.replace(result("masks", 1, 0.5), measured=of_masks | {"mask_iou": 0.72}),
    )
    shown = table.to_table()
    _, heads, rows = shown.as_rows()
    assert heads[-3:] == ["mask IoU", "mean mask IoU", "background sensitivity"]
    assert [row[-3:] for row in rows] == [["-", "-", "20.0"], ["71.0 ± 1.4", "60.0 ± 0.0", "10.0 ± 0.0"]]
    assert "Mask IoU" in shown.note
    content = table.to_dict()
    assert content["rows"][0]["mask_iou"] is None
    assert content["rows"][1]["mask_iou"]["mean"] == pytest.approx(0.71)
    assert content["cells"][2]["measured"]["mask_iou"] == 0.72
    without = table_of(result("none", 0, 0.5)).to_table()
    assert "mask IoU" not in without.as_rows()[1] and "ask IoU" not in without.note


def test_every_form_of_the_table_names_the_data() -> None:
    table = table_of(result("0%", 0, 0.5), result("3%", 0, 0.6)).to_table()
    assert "synthetic data 'scenes'" in table.title
    assert "synthetic data 'scenes'" in table.to_text("markdown")
    lines = csv.DictReader(io.StringIO(table.to_text("csv")))
    assert [line["data"] for line in lines] == ["synthetic data 'scenes'"] * 2


def test_the_csv_holds_bare_numbers_of_full_precision() -> None:
    third = 1 / 3
    table = table_of(result("0%", 0, 0.5), result("3%", 0, third)).to_table()
    lines = list(csv.DictReader(io.StringIO(table.to_text("csv"))))
    assert float(lines[1]["mAP_mean"]) == third
    assert float(lines[1]["mAP_difference_mean"]) == third - 0.5
    assert lines[0]["mAP_difference_mean"] == lines[0]["mAP_deviation"] == ""


# The grid on disk.


@pytest.fixture(scope="module")
def scenes(few_scenes: Path) -> PersonSearchDataset:
    return open_dataset(few_scenes)


@pytest.fixture(scope="module")
def nested(scenes: PersonSearchDataset, few_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A subset of all scenes with a labeled person; "25%" is three images."""
    out = tmp_path_factory.mktemp("nested") / "subset"
    selection = with_proportions(scenes.train, select_subset(scenes.train, portion_size=1), "25%")
    build_subset_from_labelme(scenes, out, few_scenes / "truth" / "labelme", selection)
    return out


@pytest.fixture
def go(
    scenes: PersonSearchDataset, nested: Path, make_config: MakeConfig, tmp_path: Path
) -> Callable[..., AblationTable]:
    def run(*rows: str, seeds: tuple[int, ...] = (0,), **changes: Any) -> AblationTable:
        plan = {key: changes.pop(key) for key in ("masks_in", "same_images") if key in changes}
        grid = ("gallery_size", "callback", "run_dir", "outlines")
        arguments = {
            "subset_folder": nested,
            "run_dir": tmp_path / "grid",
            "gallery_size": 4,
            "callback": None,
            **{key: changes.pop(key) for key in grid if key in changes},
        }
        config = make_config(epochs=1, batch_size=6, **changes)
        return run_grid(config, scenes, plan=GridPlan(rows, seeds, **plan), **arguments)

    return run


def test_cells_are_runs_that_differ_in_masks_and_seed_only(
    go: Callable[..., AblationTable], tmp_path: Path
) -> None:
    table = go("0%", "25%", "full", seeds=(0, 4))
    configs = {}
    persons = {}
    for folder in ("p00_s0", "p25_s0", "pfull_s0", "p00_s4", "p25_s4", "pfull_s4"):
        run = load_run(tmp_path / "grid" / folder)
        configs[folder] = run.config
        persons[folder] = run.info.persons_with_mask
        assert run.step == run.info.steps == 2
    assert configs["p00_s4"] == dataclasses.replace(configs["p25_s0"], masks=False, seed=4)
    assert configs["p25_s0"] == configs["pfull_s0"]
    assert [row.persons for row in table.rows] == [
        (persons[f"{name}_s0"] + persons[f"{name}_s4"]) / 2 for name in ("p00", "p25", "pfull")
    ]
    assert [row.images for row in table.rows] == [0, 3, 10]
    first_losses = [
        json.loads((tmp_path / "grid" / folder / "metrics.jsonl").read_text().splitlines()[0])
        for folder in ("p00_s0", "p25_s0")
    ]
    assert first_losses[0]["loss_id"] == first_losses[1]["loss_id"]


def test_the_folder_holds_the_table_in_three_forms(go: Callable[..., AblationTable], tmp_path: Path) -> None:
    table = go("0%", "full")
    record = json.loads((tmp_path / "grid" / "ablation.json").read_text())
    assert (record["format"], record["version"]) == ("maskps-ablation", 2)
    assert record["protocol"] == "TestG4"
    assert record["data"].startswith("synthetic data")
    assert (record["rows"], record["cells"]) == (table.to_dict()["rows"], table.to_dict()["cells"])
    assert (tmp_path / "grid" / "table.md").read_text() == table.to_table().to_text("markdown")
    assert (tmp_path / "grid" / "table.csv").read_text() == table.to_table().to_text("csv")


@pytest.mark.parametrize("rows", [("0%", "full"), ("none", "masks")])
def test_finished_cells_are_never_trained_again(
    go: Callable[..., AblationTable], monkeypatch: pytest.MonkeyPatch, rows: tuple[str, ...]
) -> None:
    first = go(*rows)

    def train_again(*_: object, **__: object) -> None:
        raise AssertionError("a finished cell was trained again")

    monkeypatch.setattr(grid_module, "train", train_again)
    reports: list[GridReport] = []
    assert go(*rows, callback=reports.append) == first
    assert reports == []


def test_cells_of_arms_differ_in_the_settings_of_their_arm_only(
    go: Callable[..., AblationTable], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(ARMS, "heavy", {"mask_weight": 3.0})
    table = go("none", "masks", "shuffled", "heavy", masks_in="25%")
    runs = {arm: load_run(tmp_path / "grid" / f"{arm}_s0") for arm in ARMS if arm in table_names(table)}
    masks = runs["masks"].config
    assert masks.masks and masks.precise_bn_images == 200
    assert {arm: run.config for arm, run in runs.items()} == {
        "none": dataclasses.replace(masks, masks=False),
        "masks": masks,
        "shuffled": dataclasses.replace(masks, shuffle_masks=True),
        "heavy": dataclasses.replace(masks, mask_weight=3.0),
    }
    assert [(row.name, row.images) for row in table.rows] == [
        *[("none", 0), ("masks", 3), ("shuffled", 3), ("heavy", 3), ("masks - shuffled", None)]
    ]


def test_arms_see_the_same_images_in_the_same_order(
    scenes: PersonSearchDataset, nested: Path, make_config: MakeConfig
) -> None:
    """Also flipped alike and sampled alike; persons who are pasted into a scene follow its own."""
    config = make_config(epochs=2, batch_size=5, num_workers=0)
    of_arm = {}
    for cell, subset in GridPlan(tuple(ARMS), (3,)).subsets(nested, scenes).items():
        data = SceneDataset(scenes, subset, dataclasses.replace(config, seed=3, **changes_of(cell.row)))
        batches = [batch for step in batches_of_steps(data) for batch in step]
        of_arm[cell.row] = [
            (name, target["seed"], target["boxes"].tolist(), target["pids"].tolist())
            for batch in batches
            for name, target in zip(batch.names, batch.targets, strict=True)
        ]
    assert len(of_arm["none"]) == 2 * len(scenes.train)
    for images in of_arm.values():
        for (name, seed, boxes, pids), own in zip(images, of_arm["none"], strict=True):
            assert (name, seed, boxes[: len(own[2])], pids[: len(own[3])]) == own


def test_each_seed_draws_the_images_with_masks_anew(scenes: PersonSearchDataset, nested: Path) -> None:
    def images(plan: GridPlan) -> dict[tuple[str, int], list[int]]:
        subsets = plan.subsets(nested, scenes)
        return {(cell.row, cell.seed): one.kept_rows.tolist() for cell, one in subsets.items() if one}

    drawn = images(GridPlan(("0%", "25%", "full"), (0, 1)))
    assert sorted(drawn) == [("25%", 0), ("25%", 1), ("full", 0), ("full", 1)]
    assert drawn["25%", 0] != drawn["25%", 1]
    assert drawn["full", 0] == drawn["full", 1]
    same = images(GridPlan(("0%", "25%", "full"), (0, 1), same_images=True))
    own = open_subset(nested, scenes, "25%").kept_rows.tolist()
    assert same["25%", 0] == same["25%", 1] == own
    assert images(GridPlan(("masks",), (1,), masks_in="25%"))["masks", 1] == drawn["25%", 1]


def test_other_proportions_and_seeds_are_added(go: Callable[..., AblationTable]) -> None:
    go("0%")
    table = go("0%", "25%", seeds=(1,))
    assert [(row.name, row.seeds) for row in table.rows] == [("0%", (0, 1)), ("25%", (1,))]


def test_an_interrupted_grid_continues_to_the_same_bytes(
    go: Callable[..., AblationTable], tmp_path: Path
) -> None:
    reports: list[GridReport] = []

    def stop_in_the_second_cell(report: GridReport) -> None:
        reports.append(report)
        if report.cell.row == "full" and report.text.startswith("loss "):
            raise KeyboardInterrupt

    with pytest.raises(TrainingError, match="interrupted after step 1") as caught:
        go("0%", "full", callback=stop_in_the_second_cell)
    assert "same command again" in caught.value.hint
    assert [row["row"] for row in json.loads((tmp_path / "grid/ablation.json").read_text())["rows"]] == ["0%"]
    continued = go("0%", "full")
    whole = go("0%", "full", run_dir=tmp_path / "whole")
    assert continued == whole
    for folder in ("p00_s0", "pfull_s0"):
        old, new = (tmp_path / name / folder / "metrics.jsonl" for name in ("grid", "whole"))
        assert old.read_bytes() == new.read_bytes()
    states = [load_run(tmp_path / name / "pfull_s0").model.state_dict() for name in ("grid", "whole")]
    assert all(torch.equal(value, states[1][key]) for key, value in states[0].items())


def test_an_interruption_while_searching_repeats_no_training(
    go: Callable[..., AblationTable], tmp_path: Path
) -> None:
    def stop(report: GridReport) -> None:
        if report.text.startswith("searching"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        go("0%", callback=stop)
    lines = (tmp_path / "grid" / "p00_s0" / "metrics.jsonl").read_bytes()
    steps: list[str] = []
    go("0%", callback=lambda report: steps.append(report.text))
    assert not [text for text in steps if text.startswith("loss ")]
    assert (tmp_path / "grid" / "p00_s0" / "metrics.jsonl").read_bytes() == lines


def test_reports_count_the_steps_of_the_whole_grid(go: Callable[..., AblationTable]) -> None:
    """Two cells of two steps; a cell ends with its result."""
    reports: list[GridReport] = []
    go("0%", "full", callback=reports.append)
    steps = [(one.number, one.done) for one in reports if one.text.startswith("loss ")]
    assert steps == [(1, 1), (1, 2), (2, 3), (2, 4)]
    assert {(one.cells, one.total) for one in reports} == {(2, 4)}
    ends = [one for one in reports if one.result is not None]
    assert [one.cell for one in ends] == [Cell("0%", 0), Cell("full", 0)]
    assert "cell 2 of 2 (masks full, seed 0)  mAP" in ends[1].line()


def test_every_network_is_measured_with_the_same_persons(
    go: Callable[..., AblationTable],
    scenes: PersonSearchDataset,
    few_scenes: Path,
    nested: Path,
    tmp_path: Path,
) -> None:
    """The persons of the subset are left out, also those with whom no cell of this seed trains."""
    truth = few_scenes / "truth"
    train, test = (
        person_outlines_from_labelme(truth / name, scenes)[0] for name in ("labelme", "labelme_test")
    )
    kept = open_subset(nested, scenes).record.kept
    assert len(train.train) and not train.without_images(kept, scenes).train
    outlines = PersonOutlines(train.train, test.test)
    table = go("none", "masks", outlines=outlines, masks_in="25%")
    none, masks = table.rows
    assert none.results["mask_iou"] is None and none.results["background_sensitivity"] is not None
    predictor = load_run(tmp_path / "grid" / "masks_s0").predictor()
    found = masks.results["mean_mask_iou"]
    assert found is not None and found.mean == measure_masks(predictor, scenes, test).iou_mean_mask
    assert go("none", "masks", outlines=outlines, masks_in="25%") == table
    some = PersonOutlines(test=dict(list(test.test.items())[1:]))
    for others in (None, some):
        with pytest.raises(TrainingError, match="outlines_sha256"):
            go("none", outlines=others, masks_in="25%")


@pytest.mark.parametrize(
    "measured", [{"mask_iou": 1}, {"mask_iou": -0.1}, {"mask_iou": math.inf}, {"iou": 0.5}, [0.5]]
)
def test_a_measure_that_was_edited_is_named(tmp_path: Path, measured: object) -> None:
    (tmp_path / "p03_s0").mkdir()
    write_result(tmp_path / "p03_s0", result("3%", 0, 0.5))
    cell = tmp_path / "p03_s0" / "cell.json"
    cell.write_text(json.dumps(json.loads(cell.read_text()) | {"measured": measured}))
    with pytest.raises(InputFileError, match=r"measured|some of mask_iou"):
        read_results(tmp_path)


# What is refused, before anything is trained.


@pytest.mark.parametrize(
    ("rows", "changes", "found"),
    [
        (("25%",), {"same_images": True}, "images_with_masks: drawn by each seed -> the subset's own"),
        (("none",), {}, "masks_in: the row's proportion -> full in every arm"),
    ],
)
def test_grids_of_two_kinds_do_not_mix_in_a_folder(
    go: Callable[..., AblationTable], rows: tuple[str, ...], changes: dict[str, Any], found: str
) -> None:
    go("0%")
    with pytest.raises(ConfigError, match=found):
        go(*rows, **changes)


def test_arms_with_masks_in_other_proportions_do_not_mix(go: Callable[..., AblationTable]) -> None:
    go("none")
    with pytest.raises(ConfigError, match="masks_in: full in every arm -> 25% in every arm"):
        go("masks", masks_in="25%")


def test_a_grid_of_an_older_version_is_named(go: Callable[..., AblationTable], tmp_path: Path) -> None:
    go("0%")
    record = tmp_path / "grid" / "ablation.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {"version": 1}))
    with pytest.raises(InputFileError, match="format version 2"):
        go("0%")


@pytest.mark.parametrize(
    ("arm", "changes"),
    [
        ("shuffled", {"shuffle_masks": True}),
        ("mask_pooling", {"mask_pooling": True, "mask_features": "res2"}),
    ],
)
def test_what_an_arm_sets_must_not_be_in_all_arms(
    go: Callable[..., AblationTable], tmp_path: Path, arm: str, changes: dict[str, Any]
) -> None:
    """Else the row "masks" would be that arm, and "masks - shuffled" the difference of equal trainings."""
    with pytest.raises(ConfigError, match=f"arm {arm}"):
        go("masks", **changes)
    assert not (tmp_path / "grid").exists()


def test_a_proportion_of_more_images_than_the_subset_has_is_named(
    go: Callable[..., AblationTable], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="proportion 90%"):
        go("0%", "25%", "90%")
    assert not (tmp_path / "grid").exists()


def test_same_images_needs_nested_subsets(go: Callable[..., AblationTable], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="build the subset with --proportion 30%"):
        go("0%", "30%", same_images=True)
    assert not (tmp_path / "grid").exists()


def test_a_changed_setting_is_named(go: Callable[..., AblationTable]) -> None:
    go("0%")
    with pytest.raises(ConfigError, match=r"learning_rate: 0\.01 -> 0\.5"):
        go("0%", learning_rate=0.5)


def test_another_protocol_is_named(go: Callable[..., AblationTable]) -> None:
    go("0%")
    with pytest.raises(ConfigError, match="TestG4 -> TestG6"):
        go("0%", gallery_size=6)


@pytest.mark.parametrize(
    "key",
    [
        "fingerprint",
        "test_fingerprint",
        "protocol_fingerprint",
        "masks_sha256",
        "images_with_masks_sha256",
    ],
)
def test_changed_data_are_named(go: Callable[..., AblationTable], tmp_path: Path, key: str) -> None:
    go("0%")
    record = tmp_path / "grid" / "ablation.json"
    record.write_text(json.dumps(json.loads(record.read_text()) | {key: "0" * 64}))
    with pytest.raises(TrainingError, match=f"{key} 0000"):
        go("0%")


def test_a_protocol_that_is_not_there_is_told_before_the_first_step(
    go: Callable[..., AblationTable], tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="TestG4000"):
        go("0%", gallery_size=4000)
    assert not (tmp_path / "grid").exists()


def test_a_folder_of_other_things_stays_as_it_is(go: Callable[..., AblationTable], tmp_path: Path) -> None:
    (tmp_path / "grid").mkdir()
    (tmp_path / "grid" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputExistsError):
        go("0%")
    assert [path.name for path in (tmp_path / "grid").iterdir()] == ["thesis.txt"]


def test_a_broken_result_is_named(go: Callable[..., AblationTable], tmp_path: Path) -> None:
    go("0%")
    cell = tmp_path / "grid" / "p00_s0" / "cell.json"
    cell.write_text(cell.read_text()[:40])
    with pytest.raises(InputFileError, match=r"cell\.json"):
        go("0%")


def test_a_grid_that_was_killed_between_its_first_two_files_starts_again(
    go: Callable[..., AblationTable], tmp_path: Path
) -> None:
    go("0%")
    config = tmp_path / "grid" / "config.toml"
    before = config.read_bytes()
    config.unlink()
    go("0%")
    assert config.read_bytes() == before
