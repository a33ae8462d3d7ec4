"""The report page: what stands in which table, that names stay text, what is refused."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from maskps.errors import AnnotationError, InputFileError, OutputExistsError
from maskps.evaluation.background import BackgroundSensitivity
from maskps.evaluation.mask_quality import MaskQuality
from maskps.evaluation.result_file import ProtocolResult, ResultData
from maskps.io.folders import LIST_NAME
from maskps.masks import outline_from_polygons
from maskps.protocols import ProtocolName
from maskps.report import figures, write_report
from maskps.report.figures import plain_text
from maskps.report.svg import figure_to_svg
from maskps.structures import PersonSearchDataset
from maskps.subset import build_subset, open_subset, select_subset

CUHK = ResultData("cuhk-sysu", "CUHK-SYSU", False, "c0ffee")
SYNTHETIC = ResultData("cuhk-sysu", "synthetic data 'scenes'", True, "5ca1ab1e")
SCRIPT = "<script>alert(1)</script>"

Line = Callable[..., ProtocolResult]
WriteRun = Callable[..., Path]


class Text(HTMLParser):
    """Elements of a page, and the text of each table by its title."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]


def rows_of(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def test_measured_rows_stand_below_the_published_ones_of_the_same_data(
    write_run: WriteRun, tmp_path: Path
) -> None:
    write_report([write_run("run")], tmp_path / "r.html", files=tmp_path / "files")
    rows = rows_of(tmp_path / "files", "1_table2.csv")
    assert [row["numbers"] for row in rows] == ["published"] * 11 + ["measured"]
    assert float(rows[10]["mAP"]) == 0.863 and float(rows[11]["mAP"]) == 0.4375


def test_every_table_has_a_head_for_each_cell(
    write_run: WriteRun, write_grid: WriteRun, tmp_path: Path
) -> None:
    write_report([write_run("run"), write_grid("grid")], tmp_path / "r.html")
    tables = re.findall(r"<table.*?</table>", (tmp_path / "r.html").read_text(encoding="utf-8"), re.DOTALL)
    for table in tables:
        head, *rows = (len(re.findall("<t[hd]", row)) for row in table.split("<tr")[1:])
        assert set(rows) == {head}
    assert len(tables) > 2 and ">None<" not in "".join(tables)


def test_the_data_terms_of_weights_stand_once_on_the_page(write_run: WriteRun, tmp_path: Path) -> None:
    runs = [write_run(name, terms="trained on a set: not for sale") for name in ("a", "b")]
    write_report([*runs, write_run("c")], tmp_path / "r.html")
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert page.count("trained on a set: not for sale") == page.count("Data terms of weights") == 1


def test_a_synthetic_set_never_stands_with_published_numbers(write_run: WriteRun, tmp_path: Path) -> None:
    runs = [write_run("real"), write_run("rendered", data=SYNTHETIC)]
    write_report(runs, tmp_path / "r.html", files=tmp_path / "files")
    assert {row["numbers"] for row in rows_of(tmp_path / "files", "2_table2.csv")} == {"measured"}
    assert "rendered" not in (tmp_path / "files" / "1_table2.csv").read_text()


def test_a_set_that_calls_itself_cuhk_sysu_but_is_synthetic_is_kept_out(
    write_run: WriteRun, tmp_path: Path
) -> None:
    fake = ResultData("cuhk-sysu", "CUHK-SYSU", True, "x")
    page = write_report([write_run("fake", data=fake)], tmp_path / "r.html", files=tmp_path / "files")
    assert page.data == ("synthetic data 'CUHK-SYSU'",)
    assert {row["numbers"] for row in rows_of(tmp_path / "files", "1_table2.csv")} == {"measured"}


def test_without_a_measurement_on_cuhk_sysu_the_published_tables_are_left_out(
    write_run: WriteRun, tmp_path: Path
) -> None:
    write_report([write_run("run", data=SYNTHETIC)], tmp_path / "r.html", files=tmp_path / "files")
    assert not list((tmp_path / "files").glob("published*"))
    text = (tmp_path / "r.html").read_text()
    assert 'id="published"' not in text and "those of the paper" not in text


def test_asked_for_they_do_not_stand_twice(write_run: WriteRun, tmp_path: Path) -> None:
    write_report([write_run("run")], tmp_path / "r.html", files=tmp_path / "files", paper=True)
    assert not list((tmp_path / "files").glob("published*"))
    assert 'id="published"' not in (tmp_path / "r.html").read_text()


def test_asked_for_they_stand_alone(write_run: WriteRun, tmp_path: Path) -> None:
    run = write_run("run", data=SYNTHETIC)
    write_report([run], tmp_path / "r.html", files=tmp_path / "files", paper=True)
    for name in ("table2", "table3", "table4"):
        rows = rows_of(tmp_path / "files", f"published_{name}.csv")
        assert {row["numbers"] for row in rows} == {"published"}
    assert 'id="published"' in (tmp_path / "r.html").read_text()


def test_data_sets_of_one_name_and_different_annotation_have_different_titles(
    write_run: WriteRun, tmp_path: Path
) -> None:
    other = ResultData("cuhk-sysu", "CUHK-SYSU", False, "0ther")
    page = write_report([write_run("a"), write_run("b", data=other)], tmp_path / "r.html")
    assert page.data == ("CUHK-SYSU [c0ffee]", "CUHK-SYSU [0ther]")
    assert "2 data sets, which are kept apart" in (tmp_path / "r.html").read_text()


def test_protocols_of_one_name_and_different_content_never_share_a_table(
    line: Line, write_run: WriteRun, write_grid: Callable[..., Path], tmp_path: Path
) -> None:
    """A corrected protocol of the same images: the results before and after it are two data sets."""
    lines = {
        "before": [line("all", [0.5])],
        "other": [line("TestG50", [0.5])],
        "after": [line("TestG50", [0.5]), line("all", [1.0, 0.5], fingerprint="corrected")],
    }
    runs = [write_run(name, some, data=SYNTHETIC) for name, some in lines.items()]
    runs.append(write_grid("grid", data=SYNTHETIC, protocol="all", protocol_fingerprint="corrected"))
    page = write_report(runs, tmp_path / "r.html", files=tmp_path / "files")
    name = "synthetic data 'scenes' [5ca1ab1e"
    assert page.data == (f"{name}]", f"{name}, protocols 2]")
    rows = [
        [row["method"] for row in rows_of(tmp_path / "files", f"{number}_results.csv")] for number in (1, 2)
    ]
    assert rows == [["before", "other"], ["after", "after"]]
    assert (tmp_path / "files" / "2_table4.csv").is_file()
    assert not (tmp_path / "files" / "1_table4.csv").exists()


def test_images_whose_protocol_was_changed_since_are_refused(
    write_searched: Callable[..., Path], scenes: PersonSearchDataset, tmp_path: Path
) -> None:
    run = write_searched("a")
    content = json.loads((run / "results.json").read_text())
    content["results"][0]["fingerprint"] = "0" * 64
    (run / "results.json").write_text(json.dumps(content))
    with pytest.raises(AnnotationError, match="another protocol of this name"):
        write_report([run], tmp_path / "r.html", images=scenes)


def test_a_changed_training_split_leaves_results_as_they_are(
    write_searched: Callable[..., Path], scenes: PersonSearchDataset, tmp_path: Path
) -> None:
    other = dataclasses.replace(scenes, fingerprint="0" * 64)
    write_report([write_searched("a")], tmp_path / "r.html", images=other)
    test = dataclasses.replace(scenes.test, boxes=scenes.test.boxes + 1)
    with pytest.raises(AnnotationError, match="another data set"):
        moved = dataclasses.replace(scenes, test=test)
        write_report([tmp_path / "a"], tmp_path / "s.html", images=moved)


def test_table_3_joins_the_two_subsets_with_all_queries(
    line: Line, write_run: WriteRun, tmp_path: Path
) -> None:
    lines = [line(), line("Occlusion", [1.0, 0.0]), line("Resolution", [0.5, 0.5])]
    write_report([write_run("run", lines)], tmp_path / "r.html", files=tmp_path / "files")
    row = rows_of(tmp_path / "files", "1_table3.csv")[-1]
    found = [float(row[f"{part}_mAP"]) for part in ("resolution", "occlusion", "whole")]
    assert found == [0.5, 0.5, 0.4375] and float(row["resolution_top1"]) == 1


def test_a_grid_gives_table_4_with_the_interval_of_each_difference(
    write_grid: Callable[..., Path], tmp_path: Path
) -> None:
    write_report([write_grid("grid")], tmp_path / "r.html", files=tmp_path / "files")
    rows = rows_of(tmp_path / "files", "1_table4.csv")
    assert [row["masks"] for row in rows] == ["3%", "6%", "9%", "12%", "15%", "full", "0%", "3%"]
    numbers = [
        float(rows[-1][key])
        for key in ("mAP", "mAP_deviation", "mAP_difference_mean", "mAP_difference_deviation")
    ]
    assert numbers == pytest.approx([0.862, 0.011, 0.011, 0.022], abs=1e-12)
    assert rows[-2]["mAP_difference_mean"] == rows[-2]["mAP_difference_p"] == ""
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "86.2 ± 1.1" in page and "+1.1 [-4.4, +6.6]" in page
    assert "Holm&#39;s correction for 2 comparisons" in page


def test_other_methods_and_rules_are_named_in_their_rows(
    line: Line, write_run: WriteRun, tmp_path: Path
) -> None:
    lines = [line(), line(method="cbgm"), line(rules="paper"), line(feature="pooled")]
    lines.append(line(score_threshold=0.25))
    write_report([write_run("run", lines)], tmp_path / "r.html", files=tmp_path / "files")
    names = [row["method"] for row in rows_of(tmp_path / "files", "1_results.csv")]
    assert names == ["run", "run + cbgm", "run + rules paper", "run + feature pooled", "run + score >= 0.25"]


def test_names_are_only_ever_text(line: Line, write_run: WriteRun, tmp_path: Path) -> None:
    data = ResultData("coco", f"'{SCRIPT}\"' $x", True, "f")
    odd = [
        line("TestG100", [1.0, 0.0], ids=[SCRIPT, "שלום ‮עולם"]),
        line(SCRIPT, [0.3], ids=['"><img src=x>']),
    ]
    runs = [write_run(f"a{number} <b> \" ' _ $y^$ עולם", odd, data=data) for number in (1, 2)]
    write_report(runs, tmp_path / "r.html", files=tmp_path / "files")
    parsed = Text((tmp_path / "r.html").read_text(encoding="utf-8"))
    assert parsed.tags.count("script") == 1 and "img" not in parsed.tags and "b" not in parsed.tags
    assert not [name for name, _ in parsed.attributes if name.startswith("on")]


def test_the_page_refers_to_nothing_outside(line: Line, write_run: WriteRun, tmp_path: Path) -> None:
    write_report([write_run("run", [line(), line("TestG50", gallery_size=50)])], tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    addresses = [value for name, value in Text(text).attributes if name in ("href", "src", "xlink:href")]
    assert addresses and all(value.startswith(("#", "data:")) for value in addresses)
    assert "default-src 'none'" in text and "style=" not in text and "@import" not in text


def test_ids_are_unique_on_a_page_with_many_figures(line: Line, write_run: WriteRun, tmp_path: Path) -> None:
    lines = [line(), line("TestG50", gallery_size=50)]
    runs = [write_run(name, lines) for name in "ab"] + [write_run("c", lines, data=SYNTHETIC)]
    write_report(runs, tmp_path / "r.html")
    attributes = Text((tmp_path / "r.html").read_text(encoding="utf-8")).attributes
    ids = [value for name, value in attributes if name == "id"]
    assert len(ids) == len(set(ids))
    used = {value[1:] for name, value in attributes if name == "href" and value.startswith("#")}
    assert used <= set(ids)


def test_the_same_results_give_the_same_bytes(line: Line, write_run: WriteRun, tmp_path: Path) -> None:
    run = write_run("run", [line(), line("TestG50", gallery_size=50)])
    for name in "ab":
        write_report([run], tmp_path / f"{name}.html")
    assert (tmp_path / "a.html").read_bytes() == (tmp_path / "b.html").read_bytes()


def test_the_full_set_ends_the_curve_over_gallery_sizes(
    line: Line, write_run: WriteRun, tmp_path: Path
) -> None:
    write_report([write_run("run", [line(), line("all", gallery_size=6977)])], tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert " at 100, " in text and " at 6,977." in text


def test_a_figure_of_twelve_runs_has_room_for_its_legend(
    line: Line, write_run: WriteRun, tmp_path: Path
) -> None:
    lines = [line(), line("TestG50", gallery_size=50)]
    runs = [write_run(f"run{number}", lines) for number in range(12)]
    heights = []
    for count in (2, 12):
        write_report(runs[:count], tmp_path / f"{count}.html", files=tmp_path / f"{count}")
        with Image.open(tmp_path / f"{count}" / "1_gallery_size.png") as picture:
            heights.append(picture.height / 200)
    assert heights[1] - heights[0] > 1.5  # inches; eight lines more than fit


def test_a_figure_of_two_queries_has_a_bar_per_tick(
    line: Line, write_run: WriteRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks: list[float] = []

    def with_ticks(figure: Figure, salt: str) -> str:
        if salt.startswith("comparison"):
            low, high = figure.axes[0].get_xlim()
            ticks.extend(tick for tick in figure.axes[0].get_xticks() if low <= tick <= high)
        return figure_to_svg(figure, salt=salt)

    monkeypatch.setattr(figures, "figure_to_svg", with_ticks)
    runs = [write_run("a", [line(precisions=[0.5, 0.5])]), write_run("b", [line(precisions=[0.25, 1])])]
    write_report(runs, tmp_path / "r.html")
    assert ticks == [1, 2]


def test_long_names_in_a_figure_keep_both_ends() -> None:
    names = [plain_text(f"an_experiment_with_a_long_name_seed_{seed}", 20) for seed in (1, 2)]
    assert names == ["an_experi…ame_seed_1", "an_experi…ame_seed_2"]


def test_lines_of_cameras_say_what_their_gallery_is(line: Line, write_run: WriteRun, tmp_path: Path) -> None:
    notes = []
    for name in (ProtocolName("all"), ProtocolName("all", "cross")):
        write_report([write_run(str(name), [line(name)])], tmp_path / f"{name}.html")
        notes.append("the longest gallery" in (tmp_path / f"{name}.html").read_text(encoding="utf-8"))
    assert notes == [False, True]


def test_masks_and_backgrounds_have_a_row_for_each_run_that_measured_them(
    write_run: WriteRun, tmp_path: Path
) -> None:
    masks, background = (
        MaskQuality(20, 3, 0.7, 0.6, 0.5, 0.3, 0.4),
        BackgroundSensitivity(20, 3, 0.25, 0.1, 0.4),
    )
    runs = [
        write_run("both", mask_quality=masks, background_sensitivity=background),
        write_run("masks", mask_quality=masks),
        write_run("neither"),
    ]
    write_report(runs, tmp_path / "r.html", files=tmp_path / "files")
    both, alone = rows_of(tmp_path / "files", "1_masks.csv")
    assert (both["method"], both["iou"], both["iou_mean_mask"], both["iou_all_ones"]) == (
        *("both", "0.7", "0.6", "0.5"),
    )
    assert (both["persons"], both["background_sensitivity"], both["background_persons"]) == (
        "23",
        "0.25",
        "20",
    )
    assert (alone["method"], alone["iou"], alone["background_sensitivity"]) == ("masks", "0.7", "")
    assert (tmp_path / "r.html").read_text(encoding="utf-8").count("mask IoU") == 1
    write_report([write_run("none")], tmp_path / "none.html")
    assert "mask IoU" not in (tmp_path / "none.html").read_text(encoding="utf-8")


def test_files_are_what_their_record_lists(line: Line, write_run: WriteRun, tmp_path: Path) -> None:
    runs = [write_run(name, [line(), line("TestG50", gallery_size=50)]) for name in "ab"]
    page = write_report(runs, tmp_path / "r.html", files=tmp_path / "files")
    listed = json.loads((tmp_path / "files" / "report_files.json").read_text())["files"]
    there = {path.name for path in (tmp_path / "files").iterdir()} - {"report_files.json", LIST_NAME}
    assert set(listed) == there and page.files == len(there)
    assert {"1_gallery_size.png", "1_gallery_size.svg", "1_table2.tex", "1_comparison1.csv"} <= there
    with Image.open(tmp_path / "files" / "1_gallery_size.png") as picture:
        assert picture.width > 900


def test_ranked_results_show_each_query_by_each_run(
    write_searched: Callable[..., Path], scenes: PersonSearchDataset, tmp_path: Path
) -> None:
    runs = [write_searched("a", noise=0.2), write_searched("b", noise=3.0)]
    write_report(runs, tmp_path / "r.html", images=scenes, files=tmp_path / "files")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    queries, rankings = text.count('<article class="query">'), text.count('<p class="run">')
    assert queries >= 1 and rankings == 2 * queries
    assert len(re.findall(r'<li class="(?:right|wrong)">', text)) == text.count("Answer ")
    described = re.findall(r'alt="(?:Query \S+ in|Answer \d+: \w+,) (.*?)"', text)
    assert re.findall(r"<bdi>(\S+\.jpg)</bdi></span></figcaption>", text) == described
    assert (tmp_path / "files" / "1_ranked2.png").is_file()


def test_a_subset_shows_outlines(
    write_searched: Callable[..., Path], scenes: PersonSearchDataset, tmp_path: Path
) -> None:
    boxes = scenes.train.boxes.astype(float)
    chosen = select_subset(scenes.train, portion_size=2)
    kept = [person for person in range(len(boxes)) if scenes.train.pids[person] > 0]
    kept = [person for person in kept if scenes.train.scene_of_person[person] in chosen.kept]
    outlines = {
        person: outline_from_polygons([[(x0, y0), (x1, y0), (x1, y1), (x0, y1)]], where="box")
        for person in kept
        for x0, y0, x1, y1 in [boxes[person].tolist()]
    }
    build_subset(scenes, tmp_path / "subset", chosen, outlines=lambda rows: outlines)
    subset = open_subset(tmp_path / "subset", scenes)
    write_report([write_searched("a")], tmp_path / "r.html", images=scenes, subset=subset)
    assert "Masks of the training images" in (tmp_path / "r.html").read_text(encoding="utf-8")


def test_detections_of_another_run_are_refused(
    write_searched: Callable[..., Path], scenes: PersonSearchDataset, tmp_path: Path
) -> None:
    good, other = write_searched("a", noise=0.05), write_searched("b", noise=30.0)
    (other / "detections.npz").replace(good / "detections.npz")
    with pytest.raises(AnnotationError, match="another ranking"):
        write_report([good], tmp_path / "r.html", images=scenes)


def test_ranked_results_by_distance_show_distances(
    write_searched: Callable[..., Path], scenes: PersonSearchDataset, tmp_path: Path
) -> None:
    runs = [write_searched("a", length=20, method="euclidean"), write_searched("b")]
    write_report(runs, tmp_path / "r.html", images=scenes)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    numbers = re.findall(r'<figcaption>\d+\. .*<span class="soft value">(.*?)</span>', text)
    distances = [float(number[2:]) for number in numbers if number.startswith("d ")]
    assert 0 < len(distances) < len(numbers) and 2 < max(distances) <= 40
    assert "a + euclidean</bdi>" in text and "Euclidean distance" in text and "dot product" in text


@pytest.mark.parametrize("rules", ["seqnet", "paper"])
def test_ranked_results_under_other_rules(
    rules: str, write_searched: Callable[..., Path], scenes: PersonSearchDataset, tmp_path: Path
) -> None:
    write_report([write_searched("a", rules=rules)], tmp_path / "r.html", images=scenes)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert f"<b><bdi>a + rules {rules}</bdi></b>" in text and "Not shown" not in text


def test_answers_are_right_or_wrong_by_the_rules_of_the_run(
    write_searched: Callable[..., Path], scenes: PersonSearchDataset, tmp_path: Path
) -> None:
    """Boxes of 0.49 of a small person's height: enough by the released evaluator, not by the paper."""
    right = []
    for rules in ("oim", "paper"):
        run = write_searched(rules, height=0.49, rules=rules, noise=0)
        write_report([run], tmp_path / f"{rules}.html", images=scenes)
        right.append((tmp_path / f"{rules}.html").read_text(encoding="utf-8").count('<li class="right">'))
    assert right[0] > right[1] == 0


def test_rankings_that_need_more_than_the_detections_are_left_out_by_name(
    line: Line, write_searched: Callable[..., Path], scenes: PersonSearchDataset, tmp_path: Path
) -> None:
    runs = [write_searched("a"), write_searched("b", method="rerank")]
    write_report(runs, tmp_path / "r.html", images=scenes)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "Not shown: <bdi>b + rerank</bdi>" in text and "<b><bdi>a</bdi></b>" in text


def test_long_vectors_scored_with_normalize_are_shown_normalized(
    write_searched: Callable[..., Path], scenes: PersonSearchDataset, tmp_path: Path
) -> None:
    write_report([write_searched("a", length=20, normalize=True)], tmp_path / "r.html", images=scenes)
    numbers = re.findall(r'<span class="soft value">(-?\d\.\d\d)</span>', (tmp_path / "r.html").read_text())
    assert numbers and max(map(float, numbers)) <= 1


def test_detections_of_the_name_of_the_result_come_first(
    write_searched: Callable[..., Path], scenes: PersonSearchDataset, tmp_path: Path
) -> None:
    run, other = write_searched("a"), write_searched("b", noise=30.0)
    (other / "results.json").replace(run / "pooled.json")
    (other / "detections.npz").replace(run / "pooled.npz")
    write_report([run, run / "pooled.json"], tmp_path / "r.html", images=scenes)


def test_the_full_set_of_cuhk_sysu_is_shown(
    write_searched: Callable[..., Path], scenes: PersonSearchDataset, tmp_path: Path
) -> None:
    write_report([write_searched("a", protocol="all")], tmp_path / "r.html", images=scenes)
    assert "Ranked results, all</h3>" in (tmp_path / "r.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("cameras", ["all", "same", "cross"])
def test_ranked_results_among_cameras_of_prw(
    cameras: str, write_searched: Callable[..., Path], prw: PersonSearchDataset, tmp_path: Path
) -> None:
    run = write_searched("a", dataset=prw, protocol="all", cameras=cameras)
    write_report([run], tmp_path / "r.html", images=prw)
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    which = "all" if cameras == "all" else f"all, {cameras} camera"
    assert f"Ranked results, {which}</h3>" in text and "<b>query</b> <bdi>" in text


def test_arms_of_a_grid_have_their_differences_beside_table_4(
    write_grid: Callable[..., Path], tmp_path: Path
) -> None:
    cells = [
        {"row": arm, "seed": seed, "images": 336, "persons": 500, "search": {"mAP": score, "top1": 0.5}}
        for arm, scores in {"none": (0.5, 0.6), "masks": (0.54, 0.66), "shuffled": (0.53, 0.63)}.items()
        for seed, score in enumerate(scores)
    ]
    write_report([write_grid("grid", cells=cells)], tmp_path / "r.html", files=tmp_path / "files")
    rows = rows_of(tmp_path / "files", "1_table4.csv")
    assert [row["masks"] for row in rows][-4:] == ["none", "masks", "shuffled", "masks - shuffled"]
    assert rows[-1]["mAP"] == rows[-1]["images"] == ""
    page = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert "+2.0 [-10.7, +14.7]" in page  # 1 and 3 points: 2 ± 12.706
    assert "masks in, or arm" in page and "mAP, difference" in page


def test_several_queries_with_one_person_have_different_names(
    line: Line, write_run: WriteRun, tmp_path: Path
) -> None:
    ids = ["7", "40", "40"]
    runs = [
        write_run("a", [line("all", [1, 1, 1], ids=ids)]),
        write_run("b", [line("all", [1, 0, 0.5], ids=ids)]),
    ]
    write_report(runs, tmp_path / "r.html")
    text = (tmp_path / "r.html").read_text(encoding="utf-8")
    assert re.findall(r'<th scope="row"><bdi>(\d+.*?)</bdi></th>', text) == ["40 (1)", "40 (2)"]


def test_ranked_results_without_detections_are_an_error_that_says_how(
    write_searched: Callable[..., Path], scenes: PersonSearchDataset, tmp_path: Path
) -> None:
    run = write_searched("a")
    (run / "detections.npz").unlink()
    with pytest.raises(InputFileError, match="--save-detections"):
        write_report([run], tmp_path / "r.html", images=scenes)
    assert not (tmp_path / "r.html").exists()


def test_images_of_another_data_set_are_refused(
    write_run: WriteRun, scenes: PersonSearchDataset, tmp_path: Path
) -> None:
    with pytest.raises(AnnotationError, match="another data set"):
        write_report([write_run("run")], tmp_path / "r.html", images=scenes)


def test_missing_images_are_one_error(
    write_searched: Callable[..., Path], scenes: PersonSearchDataset, tmp_path: Path
) -> None:
    bare = dataclasses.replace(scenes, image_dir=tmp_path / "nowhere")
    with pytest.raises(InputFileError, match="images of queries and answers"):
        write_report([write_searched("a")], tmp_path / "r.html", images=bare)


def test_a_folder_without_results_says_how_to_get_them(tmp_path: Path) -> None:
    run = tmp_path / "my run"
    run.mkdir()
    (run / "run.json").write_text("{}")
    command = f"maskps eval ROOT --run '{run}' --out '{run / 'results.json'}'"
    with pytest.raises(InputFileError, match=re.escape(command)):
        write_report([run], tmp_path / "r.html")


def test_a_folder_without_results_names_the_images_given(scenes: PersonSearchDataset, tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    saved = f"--save-detections {tmp_path / 'detections.npz'}"
    command = f"maskps eval {scenes.root} --run {tmp_path} {saved} --out"
    with pytest.raises(InputFileError, match=re.escape(command)):
        write_report([tmp_path], tmp_path / "r.html", images=scenes)


def test_a_folder_around_a_run_leads_to_the_run(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "run.json").write_text("{}")
    with pytest.raises(InputFileError, match=re.escape(f"is it {tmp_path / 'run'}?")):
        write_report([tmp_path], tmp_path / "r.html")


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda text: text[:-40], "cut off"),
        (lambda text: text.replace('"version": 1', '"version": 2'), "version 2"),
        (lambda text: text.replace("maskps-results", "other"), "another kind"),
    ],
)
def test_a_damaged_result_file_is_one_error(
    change: Callable[[str], str], found: str, write_run: WriteRun, tmp_path: Path
) -> None:
    path = write_run("run") / "results.json"
    path.write_text(change(path.read_text()))
    with pytest.raises(InputFileError, match=found):
        write_report([path], tmp_path / "r.html")


@pytest.mark.parametrize(
    ("cell", "message"),
    [({}, "'row'"), (3, "'row'"), ({"search": {"mAP": None}}, "'mAP' from 0 to 1")],
)
def test_a_damaged_grid_is_one_error(
    cell: object, message: str, write_grid: Callable[..., Path], tmp_path: Path
) -> None:
    if isinstance(cell, dict) and cell:
        cell = {"row": "3%", "seed": 0, "images": 1, "persons": 1, **cell}
    with pytest.raises(InputFileError, match=message):
        write_report([write_grid("grid", cells=[cell])], tmp_path / "r.html")


def test_only_a_report_is_replaced_and_only_when_asked(write_run: WriteRun, tmp_path: Path) -> None:
    run, out = write_run("run"), tmp_path / "r.html"
    write_report([run], out)
    with pytest.raises(OutputExistsError, match="--force"):
        write_report([run], out)
    write_report([run], out, force=True)
    out.write_text("my notes")
    with pytest.raises(OutputExistsError, match="another kind"):
        write_report([run], out, force=True)
    assert out.read_text() == "my notes"
    with pytest.raises(OutputExistsError, match="a folder"):
        write_report([run], tmp_path, force=True)
