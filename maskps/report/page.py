"""`maskps report`: one self-contained HTML file, and the same figures and tables as files.

`templates/` has the page's frame, style and code. Names are always inserted as text (Jinja2 with autoescape).
A content security policy keeps the page from loading anything and from running other code than its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from maskps.errors import AnnotationError
from maskps.io.files import (
    check_output_file,
    write_json,
    written_atomically,
)
from maskps.io.folders import check_replaceable, folder_written_atomically
from maskps.io.html import base_style, content_policy, page_environment
from maskps.io.tables import Table
from maskps.pictures.rows import subset_pictures
from maskps.pictures.sheets import SubsetPicture, hit_number
from maskps.report.comparison import Comparison, compare
from maskps.report.figures import ReportFigure, comparison_figure, failure_figure, gallery_figure
from maskps.report.paper_tables import published_tables, tables_of
from maskps.report.rankings import Rankings, painted_scene, ranked_pictures
from maskps.report.sources import DataKey, Sources, read_sources
from maskps.report.svg import svg_to_inline
from maskps.structures import PersonSearchDataset
from maskps.subset import Subset

FILES_RECORD = "report_files.json"
_FILES_FORMAT, _FILES_VERSION = "maskps-report-files", 1
_MARK = b'<meta name="generator" content="maskps-report">'


@dataclass(frozen=True)
class Section:
    """The results on one data set.

    Attributes:
        number: from 1; the names of its files begin with it.
        tables: by file name without suffix.
        comparisons: each with its figure.
        rankings: None without images.
        masks: empty without images and a subset.
    """

    number: int
    data: DataKey
    tables: Mapping[str, Table]
    figures: tuple[ReportFigure, ...]
    comparisons: tuple[tuple[Comparison, ReportFigure], ...]
    rankings: Rankings | None
    masks: tuple[SubsetPicture, ...]

    def inline(self, figure: ReportFigure) -> str:
        """Returns the figure as an <svg> element of the page."""
        return svg_to_inline(
            figure.svg, key=f"s{self.number}-{figure.key}", label=f"{figure.title}. {figure.description}"
        )


@dataclass(frozen=True)
class ReportPage:
    """What `write_report` wrote.

    Attributes:
        data: titles of the data sets, each of which has a section.
        runs: number of results and grids shown.
        bytes: size of the page.
        files: number of figures and tables beside it.
    """

    data: tuple[str, ...]
    runs: int
    bytes: int
    files: int


def write_report(
    paths: Sequence[Path],
    out: Path,
    *,
    images: PersonSearchDataset | None = None,
    subset: Subset | None = None,
    files: Path | None = None,
    paper: bool = False,
    force: bool = False,
) -> ReportPage:
    """Writes the page of these results, atomically; the same input gives the same bytes.

    Args:
        paths: result files, and folders of runs and grids.
        images: the data set whose ranked results are shown; its runs need their detections.
        subset: its mask subset, of which some scenes are shown with their outlines.
        files: folder for the figures (PNG, SVG) and tables (CSV, LaTeX).
        paper: show the paper's tables also if no result is on CUHK-SYSU. Its own results always have them.
        force: replace an earlier report at `out` and its files at `files`.

    Raises:
        OutputExistsError, OutputError: `out` or `files` exists, or cannot be written.
        InputFileError: as `read_sources` and `ranked_pictures`.
        AnnotationError: no result is from the data set `images`, or as `ranked_pictures`.
    """
    check_output_file(out, mark=_MARK, force=force)
    if files is not None:
        check_replaceable(files, record=FILES_RECORD, force=force)
    sources = read_sources(paths, root=None if images is None else images.root)
    keys = sources.data_keys()
    if images is not None:
        _check_measured(sources, images)
    sections = [_section(number, sources, data, images, subset) for number, data in enumerate(keys, start=1)]
    published = published_tables() if paper and not any(data.is_papers for data in keys) else {}
    html = _html(sources, sections, published)
    written = 0
    if files is not None:
        written = _write_files(files, sections, published, force=force)
    with written_atomically(out) as temporary:
        temporary.write_text(html, encoding="utf-8")
    runs = len(sources.measured) + len(sources.grids)
    return ReportPage(tuple(key.title for key in keys), runs, out.stat().st_size, written)


def _section(
    number: int, sources: Sources, data: DataKey, images: PersonSearchDataset | None, subset: Subset | None
) -> Section:
    own = images if images is not None and images.test.fingerprint() == data.fingerprint else None
    figures = (gallery_figure(sources, data), failure_figure(sources, data))
    has_runs = bool(sources.of(data).measured)
    return Section(
        number=number,
        data=data,
        tables=tables_of(sources, data),
        figures=tuple(figure for figure in figures if figure is not None),
        comparisons=tuple((one, comparison_figure(one, data)) for one in compare(sources, data)),
        rankings=ranked_pictures(sources, data, own) if own and has_runs else None,
        masks=tuple(subset_pictures(own, subset)) if own and subset else (),
    )


def _check_measured(sources: Sources, images: PersonSearchDataset) -> None:
    measured = sources.data_keys()
    searched = images.test.fingerprint()
    if all(key.fingerprint != searched for key in measured):
        raise AnnotationError(
            images.root,
            expected="the data set that was searched: "
            + ", ".join(dict.fromkeys(key.title for key in measured)),
            found="another data set (by the fingerprint of its test annotation)",
            hint="give the folder that maskps eval was given, or leave out --images",
        )


def _html(sources: Sources, sections: Sequence[Section], published: Mapping[str, Table]) -> str:
    from markupsafe import Markup

    folder = package_files("maskps.report") / "templates"
    style, script = ((folder / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    style = base_style() + style
    policy = content_policy(style, script)
    environment = page_environment("maskps.report")
    environment.filters |= {"percent": _percent, "points": _points}
    environment.globals |= {"hit_number": hit_number, "painted_scene": painted_scene}
    content: dict[str, Any] = {
        "policy": Markup(policy),
        "style": Markup(style),
        "script": Markup(script),
        "sources": sources,
        "sections": sections,
        "published": published,
        "inline": lambda section, figure: Markup(section.inline(figure)),
    }
    return environment.get_template("page.html").render(content)


def _percent(fraction: float) -> str:
    return f"{100 * fraction:.1f}"


def _points(fraction: float) -> str:
    return f"{100 * fraction:+.1f}"


def _write_files(
    folder: Path, sections: Sequence[Section], published: Mapping[str, Table], *, force: bool
) -> int:
    """Writes figures and tables, with names that begin with the section's number; returns how many files."""
    written: dict[str, str] = {}
    with folder_written_atomically(folder, record=FILES_RECORD, force=force) as temporary:

        def text(name: str, content: str, title: str) -> None:
            (temporary / name).write_text(content, encoding="utf-8")
            written[name] = title

        def tables(prefix: str, named: Mapping[str, Table]) -> None:
            for name, table in named.items():
                text(f"{prefix}_{name}.csv", table.to_text("csv"), table.title)
                text(f"{prefix}_{name}.tex", table.to_text("latex"), table.title)

        for section in sections:
            prefix, about = f"{section.number}", section.data.title
            tables(prefix, section.tables)
            for figure in (*section.figures, *(figure for _, figure in section.comparisons)):
                text(f"{prefix}_{figure.key}.svg", figure.svg, f"{figure.title}: {about}")
                (temporary / f"{prefix}_{figure.key}.png").write_bytes(figure.png)
                written[f"{prefix}_{figure.key}.png"] = f"{figure.title}: {about}"
            for comparison, _ in section.comparisons:
                title = f"{comparison.after} against {comparison.before}: {about}"
                text(f"{prefix}_{comparison.key}.csv", comparison.to_csv(), title)
            if section.rankings:
                for number, run in enumerate(section.rankings.runs, start=1):
                    name = f"{prefix}_ranked{number}.png"
                    section.rankings.sheet(run).save(temporary / name)
                    written[name] = f"Ranked results of {run.name}: {about}"
        tables("published", published)
        record = {"format": _FILES_FORMAT, "version": _FILES_VERSION, "files": written}
        write_json(temporary / FILES_RECORD, record)
    return len(written)
