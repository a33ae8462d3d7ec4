"""A table of counts: its JSON, and its rows in every format."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from maskps.subset.stats import CountRow, CountTable

TABLE = CountTable(
    name="Table 1",
    title="training images of 50% a_b & c",
    columns={"images": "Images", "labeled": "Labeled (LP)"},
    rows=[
        CountRow("with", "With masks", {"images": 1952, "labeled": 10}, {"images": 1833, "labeled": None}),
        CountRow("without", "Without", {"labeled": 2, "images": 3}, {"images": 3, "labeled": 5}),
    ],
    sums=[CountRow("together", "Together", {"images": 1955, "labeled": 12})],
    nested=[CountRow("3%", "Nested 3%", {"images": 300, "labeled": 4})],
    note="A note.",
)


def test_programs_get_parts_differences_and_nested_parts_but_no_sums() -> None:
    assert TABLE.to_dict() == {
        "with": {"images": 1952, "labeled": 10},
        "without": {"images": 3, "labeled": 2},
        "proportions": {"3%": {"images": 300, "labeled": 4}},
        "data": "training images of 50% a_b & c",
        "published": {"with": {"images": 1833, "labeled": None}, "without": {"images": 3, "labeled": 5}},
        "difference": {"with": {"images": 119, "labeled": None}, "without": {"images": 0, "labeled": -3}},
    }


def test_people_get_signs_thousands_and_a_dash_for_what_is_not_known() -> None:
    title, heads, rows = TABLE.to_table().as_rows()
    assert title == "Table 1: training images of 50% a_b & c"
    assert heads == ["", "Images", "Labeled (LP)"]
    assert rows == [
        ["With masks", "1,952", "10"],
        ["  published", "1,833", "-"],
        ["  difference", "+119", "-"],
        ["Without", "3", "2"],
        ["  published", "3", "5"],
        ["  difference", "0", "-3"],
        ["Together", "1,955", "12"],
        ["Nested 3%", "300", "4"],
    ]


def test_csv_holds_bare_numbers_of_each_kind() -> None:
    back = pd.read_csv(io.StringIO(TABLE.to_table().to_text("csv")))
    assert back.columns.tolist() == ["part", "numbers", "images", "labeled"]
    assert back["part"].tolist() == ["with"] * 3 + ["without"] * 3 + ["together", "3%"]
    assert back["numbers"].tolist() == ["counted", "published", "difference"] * 2 + ["counted"] * 2
    assert back["images"].tolist() == [1952, 1833, 119, 3, 3, 0, 1955, 300]
    assert back["labeled"].fillna(-99).tolist() == [10, -99, -99, 2, 5, -3, 12, 4]


def test_markdown_has_title_table_and_note() -> None:
    title, table, note = TABLE.to_table().to_text("markdown").strip().split("\n\n")
    assert title == "**Table 1: training images of 50% a_b & c**"
    assert note == "A note."
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    assert cells[0] == ["", "Images", "Labeled (LP)"]
    assert cells[1][1].endswith("-:")  # numbers are flush right
    assert cells[2] == ["With masks", "1,952", "10"]
    assert len(cells) == 10


def test_latex_is_escaped_and_leaves_the_number_of_the_table_to_latex() -> None:
    text = TABLE.to_table().to_text("latex")
    assert r"\caption{training images of 50\% a\_b \& c. A note.}" in text
    assert r"With masks & 1,952 & 10 \\" in text
    assert r"Nested 3\% & 300 & 4 \\" in text
    assert r"\toprule" in text


@pytest.mark.parametrize("text_format", ["csv", "markdown", "latex"])
def test_every_format_ends_with_one_line_break(text_format: str) -> None:
    text = TABLE.to_table().to_text(text_format)  # type: ignore[arg-type]
    assert text.endswith("\n") and not text.endswith("\n\n")


def test_a_table_without_comparison_holds_counted_numbers_only() -> None:
    plain = CountTable("", "Totals", TABLE.columns, TABLE.sums)
    assert plain.to_dict() == {"together": {"images": 1955, "labeled": 12}}
    assert plain.to_table().to_text("csv") == "part,numbers,images,labeled\ntogether,counted,1955,12\n"
    assert plain.to_table().as_rows()[0] == "Totals"
