"""Tables 2, 3 and 4 of the paper with measured rows, and tables that the paper does not have.

Only tables of CUHK-SYSU itself have published rows (`DataKey.is_papers`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from maskps.evaluation.ablation_table import METRICS, counts_of, difference_head, difference_note, has_arms
from maskps.evaluation.paired import difference_cells, difference_columns
from maskps.evaluation.result_file import ProtocolResult
from maskps.io.tables import Cell, Column, Style, Table
from maskps.report.sources import DataKey, Measured, Sources
from maskps_manifest import paper

_TABLE_2, _RESOLUTION, _OCCLUSION = "TestG100", "Resolution", "Occlusion"
_HEADS = {"mAP": "mAP", "top1": "top-1", "top5": "top-5", "top10": "top-10"}
_SUBSETS = {"resolution": "low resolution", "occlusion": "occlusion", "whole": "whole"}
_METHOD = Column("method", "method")
_PERCENTS = tuple(Column(metric, head, "percent") for metric, head in _HEADS.items())

_SEPARATE = f" The first {paper.TABLE_2_SEPARATE} published ones detect and identify in separate networks."

_LONGEST_GALLERY = (
    " Same and cross camera: the gallery size is that of the longest gallery; queries whose person no such "
    "scene shows are left out."
)

_OF_MASKS: dict[str, tuple[str, Style]] = {
    "iou": ("mask IoU", "percent"),
    "iou_mean_mask": ("IoU of the mean mask", "percent"),
    "iou_all_ones": ("IoU of all ones", "percent"),
    "persons": ("persons", "count"),
}

_RULES_NOTE = {
    "oim": "",
    "seqnet": "Rows with rules seqnet are not measured like the field's released evaluator.",
    "paper": "Rows with rules paper use the fixed IoU of Sec. 4.1, not that of the released evaluator.",
}


def tables_of(sources: Sources, data: DataKey) -> dict[str, Table]:
    """Returns the tables of one data set that have rows, by file name; those of the paper first.

    The first column, "numbers", is "published" or "measured".
    """
    ours = sources.of(data)
    tables = {
        "table2": _table_2(ours, data),
        "table3": _table_3(ours, data),
        "table4": _table_4(ours, data),
        "results": _everything(ours, data),
        "detection": _detection(ours, data),
        "masks": _masks(ours, data),
        "failures": _failures(ours, data),
    }
    return {key: table for key, table in tables.items() if table.rows}


def published_tables() -> dict[str, Table]:
    """Returns Tables 2, 3 and 4 as published, without a row of ours, by file name."""
    return tables_of(Sources((), ()), DataKey("CUHK-SYSU", "", is_synthetic=False))


def _table_2(ours: Sources, data: DataKey) -> Table:
    lines = list(_lines(ours, _TABLE_2))
    return _table(
        _title("Table 2", "gallery size 100", data),
        (_METHOD, *_PERCENTS),
        published=[
            (_published_name(one.method), *_fractions(one), None, None)
            for one in paper.TABLE_2
            if data.is_papers
        ],
        measured=[(_described(run, line), *_scores(line)) for run, line in lines],
        note=_note(data, (line for _, line in lines)) + _SEPARATE * data.is_papers,
    )


def _table_3(ours: Sources, data: DataKey) -> Table:
    of_subsets = [*_lines(ours, _RESOLUTION), *_lines(ours, _OCCLUSION)]
    by_protocol = {
        protocol: {_described(run, line): line for run, line in _lines(ours, protocol)}
        for protocol in (_RESOLUTION, _OCCLUSION, _TABLE_2)
    }
    measured: list[list[Cell]] = []
    for name in dict.fromkeys(_described(run, line) for run, line in of_subsets):
        cells: list[Cell] = [name]
        for lines in by_protocol.values():
            cells += [lines[name].mAP, lines[name].top1] if name in lines else [None, None]
        measured.append(cells)
    columns = [
        Column(f"{part}_{metric}", f"{head}: {_HEADS[metric]}", "percent")
        for part, head in _SUBSETS.items()
        for metric in ("mAP", "top1")
    ]
    return _table(
        _title("Table 3", "low resolution, occlusion, and all queries", data),
        (_METHOD, *columns),
        published=[
            (
                _published_name(one.low_resolution.method),
                *(_fractions(one.low_resolution) + _fractions(one.occlusion) + _fractions(one.whole)),
            )
            for one in paper.TABLE_3
            if data.is_papers
        ],
        measured=measured,
        note=_note(data, (line for _, line in of_subsets)),
    )


def _table_4(ours: Sources, data: DataKey) -> Table:
    published = []
    for one in paper.TABLE_4 if data.is_papers else ():
        share = "full" if one.proportion is None else f"{one.proportion:.0%}"
        cells = (f"the paper, {_TABLE_2}", share, None, None, 1, *_fractions(one))
        published.append((*cells, *difference_cells(None), *difference_cells(None)))
    measured = [
        (
            *(
                f"{grid.label}, {grid.table.protocol}",
                row.name,
                *counts_of(row),
                len(row.seeds),
            ),
            *(row.results[metric] for metric in METRICS),
            *(cell for metric in METRICS for cell in difference_cells(row.differences[metric])),
        )
        for grid in ours.grids
        for row in grid.table.rows
    ]
    tables = [grid.table for grid in ours.grids]
    note = "±: standard deviation over the seeds (n - 1). " + difference_note(tables)
    return _table(
        _title("Table 4", "masks in a part of the training images", data),
        (
            Column("grid", "grid"),
            Column("masks", "masks in, or arm" if has_arms(tables) else "masks in"),
            Column("images", "images", "count"),
            Column("persons", "persons", "count"),
            Column("seeds", "seeds", "count"),
            Column("mAP", "mAP", "percent", "mAP_deviation"),
            Column("top1", "top-1", "percent", "top1_deviation"),
            *difference_columns("mAP_difference", difference_head("mAP", tables), "p (mAP)"),
            *difference_columns("top1_difference", difference_head("top1", tables), "p (top-1)"),
        ),
        published=published,
        measured=measured,
        note="Percent. " + (note.strip() if ours.grids else "One run per row; none without masks."),
    )


def _everything(ours: Sources, data: DataKey) -> Table:
    lines = list(_lines(ours))
    by_camera = any(line.protocol.cameras != "all" for _, line in lines)
    return _table(
        f"Every result on {data.title}",
        (
            _METHOD,
            Column("protocol", "protocol"),
            Column("gallery_size", "gallery size", "count"),
            Column("queries", "queries", "count"),
            *_PERCENTS,
        ),
        measured=[
            (run.name_of(line), str(line.protocol), line.gallery_size, line.queries, *_scores(line))
            for run, line in lines
        ],
        note=_note(data, (line for _, line in lines), published=False) + _LONGEST_GALLERY * by_camera,
    )


def _detection(ours: Sources, data: DataKey) -> Table:
    return _table(
        f"Detection on {data.title}",
        (
            _METHOD,
            Column("which", "persons"),
            Column("recall", "recall", "percent"),
            Column("AP", "AP", "percent"),
            Column("persons", "annotated", "count"),
            Column("detections", "detections", "count"),
            Column("score_threshold", "score from", "count"),
            Column("iou_threshold", "IoU from", "count"),
        ),
        measured=[
            (
                *(run.label, which, one.recall, one.average_precision),
                *(one.persons, one.detections, one.score_threshold, one.iou_threshold),
            )
            for run in ours.measured
            for which, one in run.file.detection.items()
        ],
        note="Percent. Numbers with other thresholds cannot be compared with these.",
    )


def _masks(ours: Sources, data: DataKey) -> Table:
    rows: list[list[Cell]] = []
    for run in ours.measured:
        masks, background = run.file.mask_quality, run.file.background_sensitivity
        cells: list[Cell] = [run.label]
        cells += [getattr(masks, name, None) for name in _OF_MASKS]
        cells += [getattr(background, name, None) for name in ("sensitivity", "persons")]
        if masks or background:
            rows.append(cells)
    return _table(
        f"Predicted masks, and how far embeddings depend on the background: {data.title}",
        (
            _METHOD,
            *(Column(name, *about) for name, about in _OF_MASKS.items()),
            Column("background_sensitivity", "background sensitivity", "percent"),
            Column("background_persons", "persons", "count"),
        ),
        measured=rows,
        note="Percent. IoU: mean over the persons, whose outlines the training did not use; the mean mask is "
        "the best constant one. Sensitivity: 0 if the background does not matter, 100 if nothing else does.",
    )


def _failures(ours: Sources, data: DataKey) -> Table:
    lines = list(_lines(ours))
    causes = list(dict.fromkeys(cause for _, line in lines for cause in line.failures))
    return _table(
        f"Queries without a top-1 hit, by cause: {data.title}",
        (
            _METHOD,
            Column("protocol", "protocol"),
            Column("queries", "queries", "count"),
            Column("failed", "without a top-1 hit", "count"),
            *(Column(cause.replace(" ", "_"), cause, "count") for cause in causes),
        ),
        measured=[
            (
                *(run.name_of(line), str(line.protocol), line.queries, sum(line.failures.values())),
                *(line.failures.get(cause, 0) for cause in causes),
            )
            for run, line in lines
        ],
        note="Numbers of queries. Each failed query has one cause.",
    )


def _table(
    title: str,
    columns: Sequence[Column],
    *,
    published: Sequence[Sequence[Cell]] = (),
    measured: Sequence[Sequence[Cell]] = (),
    note: str,
) -> Table:
    rows = [("published", *cells) for cells in published] + [("measured", *cells) for cells in measured]
    return Table(title, (Column("numbers", ""), *columns), rows, note)


def _lines(ours: Sources, protocol: str | None = None) -> Iterator[tuple[Measured, ProtocolResult]]:
    for run in ours.measured:
        for line in run.file.results:
            if protocol in (None, str(line.protocol)):
                yield run, line


def _described(run: Measured, line: ProtocolResult) -> str:
    name = run.name_of(line)
    return f"{name} ({run.about})" if run.about else name


def _scores(line: ProtocolResult) -> tuple[float, ...]:
    return tuple(getattr(line, metric) for metric in _HEADS)


def _published_name(method: str) -> str:
    """Returns the name of a published method; the paper's "Ours" is not ours."""
    return method.replace("Ours", "Zheng et al., this paper")


def _fractions(published: paper.Result | paper.ProportionResult) -> tuple[float, float]:
    """Returns mAP and top-1 of a published row as fractions."""
    return round(published.mean_average_precision / 100, 6), round(published.top1 / 100, 6)


def _title(name: str, what: str, data: DataKey) -> str:
    """Returns a title; a table of other data is only "as" the paper's."""
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
