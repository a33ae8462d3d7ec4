"""One table in every form: what is shown is rounded, what programs read is not."""

from __future__ import annotations

import csv
import io
import statistics

import pytest

from maskps.io.tables import Column, Shown, Spread, Table, TextFormat

THIRD = 1 / 3
TABLE = Table(
    "50% of a_b & c",
    [
        Column("run", "run"),
        Column("seed", None),
        Column("images", "images", "count"),
        Column("mAP", "mAP", "percent", "mAP_deviation"),
        Column("gain", "gain", "points"),
    ],
    [
        (Shown("first_run", "  first run"), 3, 1952, Spread(THIRD, 0.0512, 2), 0.0125),
        ("second", 4, None, 0.5, -0.0001),
        ("third", None, 2.5, Spread(1.0, None, 1), None),
    ],
    note="A note.",
    name="Table 7",
)


def csv_rows(table: Table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(table.to_text("csv"))))


def test_shown_are_percent_signs_thousands_and_a_dash_for_nothing() -> None:
    title, heads, rows = TABLE.as_rows()
    assert title == "Table 7: 50% of a_b & c"
    assert heads == ["run", "images", "mAP", "gain"]
    assert rows == [
        ["  first run", "1,952", "33.3 ± 5.1", "+1.2"],
        ["second", "-", "50.0", "0.0"],
        ["third", "2.5", "100.0", "-"],
    ]


@pytest.mark.parametrize("start", ["=", "+", "-", "@"])
def test_no_text_of_the_csv_is_a_formula(start: str) -> None:
    table = Table("", [Column("run", "run"), Column("gain", "gain")], [(f"{start}1+1|A1!", -0.5), ("a=1", 1)])
    rows = list(csv.reader(io.StringIO(table.to_text("csv"), newline="")))
    assert rows[1:] == [[f"'{start}1+1|A1!", "-0.5"], ["a=1", "1"]]


def test_a_control_character_makes_no_row_or_cell_of_the_csv() -> None:
    table = Table("", [Column("run", "run")], [["a\r=1+1"], ["\t=1"], ["b\n=2"], ['é, "x"']])
    rows = list(csv.reader(io.StringIO(table.to_text("csv"), newline="")))
    assert rows[1:] == [[r"a\r=1+1"], [r"\t=1"], [r"b\n=2"], ['é, "x"']]


def test_the_csv_has_every_column_at_full_precision() -> None:
    first, second, third = csv_rows(TABLE)
    assert list(first) == ["run", "seed", "images", "mAP", "mAP_deviation", "gain"]
    assert (first["run"], first["seed"], first["images"]) == ("first_run", "3", "1952")
    assert float(first["mAP"]) == THIRD
    assert (first["mAP_deviation"], second["mAP_deviation"], third["mAP_deviation"]) == ("0.0512", "", "")
    assert (second["images"], third["seed"], third["gain"]) == ("", "", "")


def test_markdown_has_title_table_and_note() -> None:
    title, table, note = TABLE.to_text("markdown").strip().split("\n\n")
    assert (title, note) == ("**Table 7: 50% of a_b & c**", "A note.")
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert lines[0] == ["run", "images", "mAP", "gain"]
    assert [cell.endswith("-:") for cell in lines[1]] == [False, True, True, True]  # numbers: flush right
    assert lines[2] == ["first run", "1,952", "33.3 ± 5.1", "+1.2"]


def test_latex_is_escaped_and_counts_the_table_itself() -> None:
    text = TABLE.to_text("latex")
    assert r"\caption{50\% of a\_b \& c. A note.}" in text
    assert r"\begin{tabular}{lrrr}" in text
    assert r"first run & 1,952 & 33.3 ± 5.1 & +1.2 \\" in text


def test_latex_compares_with_signs_that_its_fonts_have() -> None:
    text = Table("p <0.05", (Column("p", "p"),), (("<0.001",), (">1",))).to_text("latex")
    assert r"\caption{p \textless{}0.05.}" in text
    assert r"\textless{}0.001 \\" in text and r"\textgreater{}1 \\" in text


@pytest.mark.parametrize("text_format", ["csv", "markdown", "latex"])
def test_a_table_without_rows_still_has_its_heads(text_format: TextFormat) -> None:
    text = Table("empty", TABLE.columns, ()).to_text(text_format)
    assert "images" in text and "gain" in text
    assert text.endswith("\n") and not text.endswith("\n\n")


def test_a_spread_is_of_a_sample() -> None:
    values = [0.2, 0.4, 0.9]
    spread = Spread.of(values)
    assert spread is not None
    assert (spread.mean, spread.count) == (pytest.approx(0.5), 3)
    assert spread.deviation == pytest.approx((0.26 / 2) ** 0.5) == statistics.stdev(values)
    assert Spread.of([0.3]) == Spread(0.3, None, 1)
    assert Spread.of([]) is None
