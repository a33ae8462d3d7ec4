"""Tables 2, 3 and 4 of the paper with measured rows, and the tables that the paper does not have.

Published rows stand only in tables of CUHK-SYSU itself (`DataKey.is_papers`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from maskps.evaluation.result_file import ProtocolResult
from maskps.report.sources import DataKey, Measured, Sources
from maskps.report.tables import Cell, Column, ReportTable, Row, Style
from maskps_manifest import paper

_TABLE_2, _RESOLUTION, _OCCLUSION = "TestG100", "Resolution", "Occlusion"
_METRICS = ("mAP", "top1", "top5", "top10")
_HEADS = {"mAP": "mAP", "top1": "top-1", "top5": "top-5", "top10": "top-10"}
_SUBSETS = {"resolution": "low resolution", "occlusion": "occlusion", "whole": "whole"}
_COUNTS = ("gallery_size", "queries")

_SEPARATE = f" The first {paper.TABLE_2_SEPARATE} published ones detect and identify in separate networks."

_LONGEST_GALLERY = (
    " Same and cross camera: the gallery size is that of the longest gallery, and queries whose person "
    "no such scene shows are left out."
)

_RULES_NOTE = {
    "oim": "",
    "seqnet": "Rows with rules seqnet are not measured as the field's released evaluator does.",
    "paper": "Rows with rules paper take the fixed IoU of Sec. 4.1, not the released evaluator's.",
}


def tables_of(sources: Sources, data: DataKey) -> list[ReportTable]:
    """Returns the tables of one data set that have rows; those of the paper first."""
    ours = sources.of(data)
    tables = (
        _table_2(ours, data),
        _table_3(ours, data),
        _table_4(ours, data),
        _everything(ours, data),
        _detection(ours, data),
        _failures(ours, data),
    )
    return [table for table in tables if table.rows]


def published_tables() -> list[ReportTable]:
    """Returns Tables 2, 3 and 4 as published, with no row of ours."""
    nothing = Sources((), ())
    data = DataKey("CUHK-SYSU", "", is_synthetic=False)
    return [_table_2(nothing, data), _table_3(nothing, data), _table_4(nothing, data)]


def _table_2(ours: Sources, data: DataKey) -> ReportTable:
    rows: list[Row] = []
    if data.is_papers:
        rows += [
            Row(
                (
                    _published_name(one.method),
                    _fraction(one.mean_average_precision),
                    _fraction(one.top1),
                    None,
                    None,
                ),
                "published",
            )
            for one in paper.TABLE_2
        ]
    lines = list(_lines(ours, _TABLE_2))
    rows += [Row((_described(run, line), *_scores(line)), "measured") for run, line in lines]
    return ReportTable(
        key="table2",
        title=_title("Table 2", "gallery size 100", data),
        columns=(Column("method", "method"), *_percents()),
        rows=tuple(rows),
        note=_note(data, (line for _, line in lines)) + _SEPARATE * data.is_papers,
    )


def _table_3(ours: Sources, data: DataKey) -> ReportTable:
    rows: list[Row] = []
    if data.is_papers:
        for one in paper.TABLE_3:
            parts = (one.low_resolution, one.occlusion, one.whole)
            pairs = [(_fraction(part.mean_average_precision), _fraction(part.top1)) for part in parts]
            rows.append(
                Row(
                    (
                        _published_name(one.low_resolution.method),
                        *(value for pair in pairs for value in pair),
                    ),
                    "published",
                )
            )
    of_subsets = [*_lines(ours, _RESOLUTION), *_lines(ours, _OCCLUSION)]
    names = dict.fromkeys(_described(run, line) for run, line in of_subsets)
    by_protocol = {
        protocol: {_described(run, line): line for run, line in _lines(ours, protocol)}
        for protocol in (_RESOLUTION, _OCCLUSION, _TABLE_2)
    }
    for name in names:
        cells: list[Cell] = [name]
        for lines in by_protocol.values():
            cells += [lines[name].mAP, lines[name].top1] if name in lines else [None, None]
        rows.append(Row(tuple(cells), "measured"))
    columns = [
        Column(f"{part}_{metric}", f"{head}: {_HEADS[metric]}", "percent")
        for part, head in _SUBSETS.items()
        for metric in ("mAP", "top1")
    ]
    return ReportTable(
        key="table3",
        title=_title("Table 3", "low resolution, occlusion, and all queries", data),
        columns=(Column("method", "method"), *columns),
        rows=tuple(rows),
        note=_note(data, (line for _, line in of_subsets)),
    )


def _table_4(ours: Sources, data: DataKey) -> ReportTable:
    rows: list[Row] = []
    if data.is_papers:
        for one in paper.TABLE_4:
            share = "full" if one.proportion is None else f"{one.proportion:.0%}"
            cells = (f"the paper, {_TABLE_2}", share, None, None, 1)
            scores = (_fraction(one.mean_average_precision), _fraction(one.top1))
            rows.append(Row((*cells, *scores, None, None, ""), "published"))
    for grid in ours.grids:
        for row in grid.rows:
            is_open = any(row.is_within_spread.values())
            told = ""
            if any(row.differences.values()) and is_open:
                within = [_HEADS[metric] for metric, is_within in row.is_within_spread.items() if is_within]
                told = f"{' and '.join(within)} within spread"
            numbers = (row.images, row.persons, row.seeds, row.results["mAP"], row.results["top1"])
            gains = (row.differences["mAP"], row.differences["top1"])
            name = f"{grid.label}, {grid.protocol}"
            rows.append(Row((name, row.proportion, *numbers, *gains, told), "measured"))
    gain: Style = "points"
    note = (
        "±: standard deviation over the seeds. The gains are differences to the row without masks, seed by "
        "seed, in points; 'within spread': not larger than its deviation, so not to be told from chance."
    )
    return ReportTable(
        key="table4",
        title=_title("Table 4", "masks in a part of the training images", data),
        columns=(
            Column("grid", "grid"),
            Column("masks", "masks in"),
            Column("images", "images", "count"),
            Column("persons", "persons", "count"),
            Column("seeds", "seeds", "count"),
            Column("mAP", "mAP", "percent"),
            Column("top1", "top-1", "percent"),
            Column("mAP_gain", "mAP gain", gain),
            Column("top1_gain", "top-1 gain", gain),
            Column("remark", "remark"),
        ),
        rows=tuple(rows),
        note=" ".join(
            filter(None, ["Percent.", note if ours.grids else "One run per row; none without masks."])
        ),
    )


def _everything(ours: Sources, data: DataKey) -> ReportTable:
    lines = list(_lines(ours))
    by_camera = any(line.protocol.cameras != "all" for _, line in lines)
    rows = [
        Row(
            (run.name_of(line), str(line.protocol), line.gallery_size, line.queries, *_scores(line)),
            "measured",
        )
        for run, line in lines
    ]
    return ReportTable(
        key="results",
        title=f"Every result on {data.title}",
        columns=(
            Column("method", "method"),
            Column("protocol", "protocol"),
            Column("gallery_size", "gallery size", "count"),
            Column("queries", "queries", "count"),
            *_percents(),
        ),
        rows=tuple(rows),
        note=_note(data, (line for _, line in lines), published=False) + _LONGEST_GALLERY * by_camera,
    )


def _detection(ours: Sources, data: DataKey) -> ReportTable:
    keys = ("recall", "AP", "persons", "detections", "score_threshold", "iou_threshold")
    rows = [
        Row((run.label, which, *(numbers.get(key) for key in keys)), "measured")
        for run in ours.measured
        for which, numbers in run.file.detection.items()
    ]
    return ReportTable(
        key="detection",
        title=f"Detection on {data.title}",
        columns=(
            Column("method", "method"),
            Column("which", "persons"),
            Column("recall", "recall", "percent"),
            Column("AP", "AP", "percent"),
            Column("persons", "annotated", "count"),
            Column("detections", "detections", "count"),
            Column("score_threshold", "score from", "count"),
            Column("iou_threshold", "IoU from", "count"),
        ),
        rows=tuple(rows),
        note="Percent. Numbers with other thresholds cannot be compared with these.",
    )


def _failures(ours: Sources, data: DataKey) -> ReportTable:
    lines = list(_lines(ours))
    causes = list(dict.fromkeys(cause for _, line in lines for cause in line.failures))
    rows = [
        Row(
            (
                run.name_of(line),
                str(line.protocol),
                line.queries,
                sum(line.failures.values()),
                *(line.failures.get(cause, 0) for cause in causes),
            ),
            "measured",
        )
        for run, line in lines
    ]
    return ReportTable(
        key="failures",
        title=f"Queries without a top-1 hit, by cause: {data.title}",
        columns=(
            Column("method", "method"),
            Column("protocol", "protocol"),
            Column("queries", "queries", "count"),
            Column("failed", "without a top-1 hit", "count"),
            *(Column(cause.replace(" ", "_"), cause, "count") for cause in causes),
        ),
        rows=tuple(rows),
        note="Numbers of queries; each that failed has one cause.",
    )


def _lines(ours: Sources, protocol: str | None = None) -> Iterator[tuple[Measured, ProtocolResult]]:
    for run in ours.measured:
        for line in run.file.results:
            if protocol in (None, str(line.protocol)):
                yield run, line


def _described(run: Measured, line: ProtocolResult) -> str:
    name = run.name_of(line)
    return f"{name} ({run.about})" if run.about else name


def _scores(line: ProtocolResult) -> tuple[float, ...]:
    return tuple(getattr(line, metric) for metric in _METRICS)


def _percents() -> tuple[Column, ...]:
    return tuple(Column(metric, _HEADS[metric], "percent") for metric in _METRICS)


def _published_name(method: str) -> str:
    """Returns a method of the paper; its "Ours" is not ours."""
    return method.replace("Ours", "Zheng et al., this paper")


def _fraction(percent: float) -> float:
    return round(percent / 100, 6)


def _title(name: str, what: str, data: DataKey) -> str:
    """A table of other data than the paper's is only shaped like the paper's."""
    return f"{name}. {data.title}, {what}" if data.is_papers else f"As {name}, {what}: {data.title}"


def _note(data: DataKey, lines: Iterable[ProtocolResult], *, published: bool = True) -> str:
    lines = list(lines)
    notes = ["Percent."]
    if data.is_papers and published:
        notes.append("Published rows are those of the paper.")
    thresholds = sorted({line.score_threshold for line in lines})
    if thresholds:
        texts = " or ".join(f"{threshold:g}" for threshold in thresholds)
        notes.append(
            f"Measured rows: detections with score >= {texts}, rules oim unless a row says otherwise."
        )
    notes += [_RULES_NOTE.get(rules, "") for rules in sorted({line.rules for line in lines})]
    return " ".join(filter(None, notes))
