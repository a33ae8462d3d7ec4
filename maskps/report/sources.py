"""The files that a report reads: results of `maskps score` and `maskps eval`, grids of `maskps ablate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from shlex import quote

from maskps.errors import InputFileError
from maskps.evaluation.ablation_table import AblationTable, read_table
from maskps.evaluation.methods import METHODS
from maskps.evaluation.result_file import ProtocolResult, ResultFile, read_results
from maskps.evaluation.search import SCORE_THRESHOLD

RESULTS, GRID, DETECTIONS = "results.json", "ablation.json", "detections.npz"
_RUN = "run.json"  # in every folder of maskps train
_PUBLISHED = "CUHK-SYSU"
_USUAL = ("TestG100", "all")
_PLAIN_NAMES = {"result", "results"}


@dataclass(frozen=True)
class DataKey:
    """What was searched. Results with different keys never stand in one table.

    Attributes:
        name: what the data may be called (`maskps.datasets.naming.data_name`).
        fingerprint: of the test annotation, or of a protocol file.
        is_synthetic: rendered, not photographed.
        edition: 1; 2, 3, ... if protocols have the names of earlier ones, but not their content.
        mark: distinguishes data sets of one name; "" if the name is unique.
    """

    name: str
    fingerprint: str
    is_synthetic: bool
    edition: int = 1
    mark: str = ""

    @property
    def is_papers(self) -> bool:
        """Whether the paper's numbers may stand beside those of this data set."""
        return self.name == _PUBLISHED and not self.is_synthetic

    @property
    def title(self) -> str:
        """The name and mark; the name of a synthetic set always contains "synthetic"."""
        is_clear = not self.is_synthetic or "synthetic" in self.name
        title = self.name if is_clear else f"synthetic data '{self.name}'"
        return f"{title} [{self.mark}]" if self.mark else title


@dataclass(frozen=True)
class Measured:
    """One result file.

    Attributes:
        label: short name of the run, unique on the page.
        path: of the file.
        data: what was searched.
        file: its content.
    """

    label: str
    path: Path
    data: DataKey
    file: ResultFile

    @property
    def about(self) -> str:
        """How the network was trained, as recorded in the file, for example "with masks, recipe paper"."""
        source = self.file.source
        parts = []
        if source.masks is not None:
            parts.append("with masks" if source.masks else "without masks")
        if source.recipe is not None:
            parts.append(f"recipe {source.recipe}")
        if source.step is not None:
            parts.append(f"step {source.step:,}")
        return ", ".join(parts)

    def name_of(self, result: ProtocolResult) -> str:
        """Returns the label and all that differs from the field's usual evaluation."""
        parts = [self.label]
        parts += [result.method] * (result.method != "cosine")
        parts += [f"feature {result.feature}"] * (result.feature != "embedding")
        parts += [f"rules {result.rules}"] * (result.rules != "oim")
        is_usual = result.score_threshold == SCORE_THRESHOLD
        parts += [f"score >= {result.score_threshold:g}"] * (not is_usual)
        return " + ".join(parts)

    def usual(self) -> ProtocolResult | None:
        """Returns the result by which runs are compared: TestG100, else "all", else the first."""
        order = list(METHODS)
        results = sorted(self.file.results, key=lambda one: order.index(one.method))
        usual = (one for name in _USUAL for one in results if str(one.protocol) == name)
        return next(usual, results[0] if results else None)


@dataclass(frozen=True)
class Grid:
    """The result of `maskps ablate`."""

    label: str
    path: Path
    data: DataKey
    table: AblationTable


@dataclass(frozen=True)
class Sources:
    """Everything that a report shows, in the order in which it was given."""

    measured: tuple[Measured, ...]
    grids: tuple[Grid, ...]

    @property
    def terms(self) -> list[str]:
        """On which terms the weights behind the results may be used, each once."""
        return list(dict.fromkeys(one.file.source.terms for one in self.measured if one.file.source.terms))

    def data_keys(self) -> list[DataKey]:
        """Returns the data sets, those with published numbers first, then in order of appearance."""
        keys = dict.fromkeys([one.data for one in self.measured] + [one.data for one in self.grids])
        return sorted(keys, key=lambda key: not key.is_papers)

    def of(self, data: DataKey) -> Sources:
        """Returns the part that was measured on `data`."""
        return Sources(
            tuple(one for one in self.measured if one.data == data),
            tuple(one for one in self.grids if one.data == data),
        )


def read_sources(paths: Sequence[Path], *, root: Path | None = None) -> Sources:
    """Returns the content of result files, and of the folders of runs and grids.

    Args:
        root: folder of the data set whose ranked results are wanted. The error about a run that was not
            evaluated then names the whole command.

    Raises:
        InputFileError: a file is missing, cut off, of another format or version, or a folder has no results.
    """
    results, grids = [], []
    for path in dict.fromkeys(paths):
        if not path.is_dir():
            results.append(path)
            continue
        found = [path / name for name in (RESULTS, GRID) if (path / name).is_file()]
        if not found:
            raise _without_results(path, root)
        results += [one for one in found if one.name == RESULTS]
        grids += [one for one in found if one.name == GRID]
    files = {path: read_results(path) for path in results}
    labels = _labels([*files, *grids])
    editions = _Editions()
    return _marked(
        Sources(
            tuple(
                Measured(labels[path], path, editions.key_of_results(file), file)
                for path, file in files.items()
            ),
            tuple(_read_grid(path, labels[path], editions) for path in grids),
        )
    )


def _without_results(folder: Path, root: Path | None) -> InputFileError:
    expected = f"the folder of a run with its {RESULTS}, or of a grid with its {GRID}"
    if (folder / _RUN).is_file():
        data = "ROOT" if root is None else quote(str(root))
        saved = "" if root is None else f" --save-detections {quote(str(folder / DETECTIONS))}"
        command = f"maskps eval {data} --run {quote(str(folder))}{saved} --out {quote(str(folder / RESULTS))}"
        return InputFileError(
            folder,
            expected=expected,
            found="a run without either: it was not evaluated, or its results were not saved (--out)",
            hint=command + ("; ROOT is the folder of the data set" if root is None else ""),
        )
    below = next((path.parent for path in sorted(folder.glob(f"*/{_RUN}"))), None)
    hint = "give the run folder of maskps train, or a file of maskps score --out"
    return InputFileError(
        folder,
        expected=expected,
        found="a folder with neither",
        hint=hint if below is None else f"is it {below}?",
    )


class _Editions:
    """Finds the key of each result, so that protocols of one name but other content have different keys."""

    def __init__(self) -> None:
        self._protocols: dict[DataKey, dict[str, str]] = {}

    def key_of_results(self, file: ResultFile) -> DataKey:
        key = DataKey(file.data.name, file.data.fingerprint, file.data.synthetic)
        return self.key_of(key, {str(line.protocol): line.fingerprint for line in file.results})

    def key_of(self, key: DataKey, protocols: dict[str, str]) -> DataKey:
        """Returns `key` in the first edition whose protocols agree with these.

        Args:
            protocols: the fingerprint of each protocol by its name.
        """
        known = self._protocols.setdefault(key, {})
        if any(known.get(name, found) != found for name, found in protocols.items()):
            return self.key_of(replace(key, edition=key.edition + 1), protocols)
        known.update(protocols)
        return key


def _marked(sources: Sources) -> Sources:
    """Returns the sources with a mark on each data set that shares its name with another one."""
    keys = sources.data_keys()
    titles = [key.title for key in keys]
    marks = {key: replace(key, mark=_mark(key)) if titles.count(key.title) > 1 else key for key in keys}
    return Sources(
        tuple(replace(one, data=marks[one.data]) for one in sources.measured),
        tuple(replace(one, data=marks[one.data]) for one in sources.grids),
    )


def _mark(key: DataKey) -> str:
    mark = key.fingerprint[:8] or "no fingerprint"
    return mark if key.edition == 1 else f"{mark}, protocols {key.edition}"


def _labels(paths: Sequence[Path]) -> dict[Path, str]:
    """Returns a unique name for each file: its own, or its folder's; repeats get a number."""
    labels: dict[Path, str] = {}
    for path in paths:
        is_plain = path.stem in _PLAIN_NAMES or path.name == GRID
        name = path.resolve().parent.name if is_plain else path.stem
        name = name.encode("utf-8", "replace").decode("utf-8") or "results"
        label, number = name, 1
        while label in labels.values():
            number += 1
            label = f"{name} ({number})"
        labels[path] = label
    return labels


def _read_grid(path: Path, label: str, editions: _Editions) -> Grid:
    table, of_test, of_protocol = read_table(path)
    key = DataKey(table.data, of_test, table.data.startswith("synthetic"))
    return Grid(label, path, editions.key_of(key, {table.protocol: of_protocol}), table)
