"""Breaks one operator at a time, and sees whether the nearest tests notice: `make mutants`.

    python tests/mutants.py --count 200 --state build/mutants.jsonl

A mutant is the tree with one expression changed: a comparison, an arithmetic or Boolean operator, a number, a
pair such as min and max. The sites are drawn with a fixed seed. For each one, a copy of the tree is changed,
and the tests of the room run in a forked process until the first failure. Results are kept in the state file,
so that an interrupted run resumes. Survivors, and mutants of a file that was edited since, are tried again.
An edit elsewhere does not change what is drawn.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path

import click

REPOSITORY = Path(__file__).resolve().parents[1]

ROOMS = {
    "maskps/losses/": ["tests/losses", "tests/model/test_roi_heads.py"],
    "maskps/evaluation/": [
        "tests/evaluation",
        "tests/training/test_extraction.py",
        "tests/cli/test_score.py",
        "tests/training/test_ablation.py",
    ],
    "maskps/masks/": [
        "tests/masks",
        "tests/cli/test_masks_commands.py",
        "tests/annotation/test_from_labelme.py",
    ],
    "maskps/model/roi_heads.py": ["tests/model"],
    "maskps/model/proposals.py": ["tests/model"],
    **{
        f"annotation/maskps_annotation/{stem}": ["tests/annotation/test_checks.py", "tests/annotation"]
        for stem in ("check", "drawn_persons", "reading", "shape_geometry")
    },
}
"""The mutated sources, by the start of their path, and the tests that should notice."""

COMPARISONS = {
    **{ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq},
    **{ast.NotEq: ast.Eq, ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In},
}
OPERATORS = {
    **{ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult},
    **{ast.Mod: ast.Mult, ast.Pow: ast.Mult, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd},
}
_PAIRS = "min max, any all, argmin argmax, minimum maximum, floor ceil, zeros ones, zeros_like ones_like"
NAMES = {a: b for pair in _PAIRS.split(", ") for a, b in [pair.split(), reversed(pair.split())]}


MESSAGE = ("expected", "found", "hint", "help", "title")
"""Names of texts for people, whose parts are not mutated."""


@dataclass(frozen=True)
class Mutant:
    """One change: the file's text from `begin` to `end` (characters) becomes `after`."""

    file: str
    line: int
    begin: int
    end: int
    before: str
    after: str

    def key(self, text: str) -> str:
        """Returns what the mutant is called in the state file; it changes with the file's text."""
        return sha256(f"{self} {text}".encode()).hexdigest()[:16]

    def lot(self, text: str, seed: int) -> str:
        """Returns what decides whether it is drawn: the text of its line, whose number may change."""
        begin = text.rfind("\n", 0, self.begin) + 1
        line = text[begin : text.find("\n", self.begin)]
        place = (seed, self.file, line, self.begin - begin, self.before, self.after)
        return sha256(repr(place).encode()).hexdigest()


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """Yields copies of this expression with one thing changed in the node itself."""
    new = copy.deepcopy(node)
    match new:
        case ast.Compare(ops=[op]) if type(op) in COMPARISONS:
            new.ops = [COMPARISONS[type(op)]()]
            yield new
        case ast.BinOp(op=op) if type(op) in OPERATORS:
            new.op = OPERATORS[type(op)]()
            yield new
        case ast.BoolOp(op=op):
            new.op = ast.Or() if isinstance(op, ast.And) else ast.And()
            yield new
        case ast.UnaryOp(op=ast.Not() | ast.USub() | ast.Invert(), operand=operand):
            yield operand
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
        case ast.Constant(value=float(value)):
            yield ast.Constant(value * 2 or 1.0)
        case ast.Call(func=ast.Name(id=name)) if name in NAMES:
            new.func.id = NAMES[name]
            yield new
        case ast.Call(func=ast.Attribute(attr=name)) if name in NAMES:
            new.func.attr = NAMES[name]
            yield new


def expressions(node: ast.AST) -> Iterator[ast.AST]:
    """Yields the expressions that compute something: no types, messages, decorators or exports."""
    match node:
        case ast.Raise() | ast.JoinedStr() | ast.Import() | ast.ImportFrom() | ast.Assert():
            return
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return
        case ast.Call(func=ast.Name(id=name)) if name.endswith("Error") or name in ("Finding", "cast"):
            return
        case ast.Call(func=ast.Attribute(value=ast.Name(id="_logger" | "logger" | "warnings"))):
            return
        case ast.Subscript(value=ast.Name(id=name)) if name[0].isupper():  # Literal[...], Callable[...]
            return
        case ast.BinOp(op=ast.BitOr(), right=ast.Constant(value=None)):
            return
        case ast.keyword(arg="strict"):  # of zip: guards what no caller does
            return
        case ast.keyword(arg=name) if name in MESSAGE:
            return
        case ast.Assign(targets=[ast.Name(id=name) | ast.Tuple(elts=[ast.Name(id=name), *_])]) if (
            name in MESSAGE
        ):
            return
        case ast.Subscript(value=ast.Call(func=ast.Name(id="repr" | "str"))):  # how much of a value is shown
            return
    if isinstance(node, ast.expr):
        yield node
    for field, value in ast.iter_fields(node):
        if field not in ("annotation", "returns", "decorator_list"):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from expressions(child)


def mutants_of(file: str) -> Iterator[Mutant]:
    """Yields every mutant of a file, in the order of the text."""
    data = (REPOSITORY / file).read_bytes()
    starts = [0]
    for line in data.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))

    def place(line: int, column: int) -> int:  # of a byte column, in characters
        return len(data[: starts[line - 1] + column].decode())

    text = data.decode()
    for node in expressions(ast.parse(text)):
        for new in changes(node):
            begin = place(node.lineno, node.col_offset)
            end = place(node.end_lineno, node.end_col_offset)
            yield Mutant(file, node.lineno, begin, end, text[begin:end], f"({ast.unparse(new)})")


def nearest_tests(file: str) -> list[str]:
    """Returns the tests of a source file: those that share its name first, then all of its room."""
    rooms = next(tests for start, tests in ROOMS.items() if file.startswith(start))
    named = sorted(REPOSITORY.glob(f"tests/**/test_{Path(file).stem}*.py"))
    return [*(str(path.relative_to(REPOSITORY)) for path in named), *rooms]


def outcome(folder: Path, tests: list[str], limit: float) -> tuple[str, float]:
    """Returns "killed", "survived" or "timed out" of the tree in this folder, and the seconds."""
    begin = time.monotonic()
    child = os.fork()
    if child == 0:
        with contextlib.suppress(BaseException):
            os.setpgid(0, 0)
            log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(log, 1)
            os.dup2(log, 2)
            os.chdir(folder)
            import pytest

            options = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", f"--rootdir={folder}"]
            os._exit(int(pytest.main([*options, *tests])) != 0)
        os._exit(1)
    status = None
    while time.monotonic() < begin + limit:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            break
        time.sleep(0.05)
    else:
        os.killpg(child, signal.SIGKILL)
        os.waitpid(child, 0)
        return "timed out", time.monotonic() - begin
    return "killed" if status else "survived", time.monotonic() - begin


def copied_tree() -> Path:
    """Returns a temporary copy of all files that git tracks, which this process and its children import."""
    folder = Path(tempfile.mkdtemp(prefix="maskps-mutants-"))
    listed = subprocess.check_output(["git", "ls-files", "-z"], cwd=REPOSITORY, text=True)
    for name in filter(None, listed.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(REPOSITORY / name, folder / name)
    roots = [str(folder / root) for root in (".", "annotation", "cli", "data_manifest")]
    sys.path[:0] = roots
    own = {"PYTHONPATH": os.pathsep.join(roots), "PYTHONDONTWRITEBYTECODE": "1", "OMP_NUM_THREADS": "1"}
    os.environ |= own
    os.environ.setdefault("MASKPS_REAL_DATA", str(REPOSITORY.parent / "shared" / "data"))
    sys.dont_write_bytecode = True
    return folder


def tried(mutants: list[Mutant], texts: dict[str, str], limit: float) -> Iterator[tuple[Mutant, str, float]]:
    """Yields every mutant with its outcome and the seconds.

    Raises:
        click.ClickException: the tests fail without any change.
    """
    folder = copied_tree()
    import scipy.stats  # noqa: F401
    import torchvision  # noqa: F401  # what every child would import first

    tests = sorted({test for mutant in mutants for test in nearest_tests(mutant.file)})
    if outcome(folder, tests, 60 * limit)[0] != "survived":
        raise click.ClickException(f"the tests fail without any change; see {folder / 'log.txt'}")
    for number, mutant in enumerate(mutants, start=1):
        text = texts[mutant.file]
        (folder / mutant.file).write_text(text[: mutant.begin] + mutant.after + text[mutant.end :])
        result, seconds = outcome(folder, nearest_tests(mutant.file), limit)
        (folder / mutant.file).write_text(text)
        click.echo(f"{number} of {len(mutants)}: {mutant.file}:{mutant.line} {result}", err=True)
        yield mutant, result, seconds
    shutil.rmtree(folder)


@click.command()
@click.option("--count", default=200, show_default=True, help="Mutants to draw from all sites.")
@click.option("--seed", default=1, show_default=True, help="Of the draw.")
@click.option("--only", default="", metavar="PATH", help="Only files whose path begins like this.")
@click.option(
    "--state", type=click.Path(path_type=Path), default=Path("build/mutants.jsonl"), show_default=True
)
@click.option("--limit", default=180.0, show_default=True, help="Seconds per mutant; more counts as killed.")
def main(count: int, seed: int, only: str, state: Path, limit: float) -> None:
    """Print how many mutants the tests kill, and every survivor."""
    listed = subprocess.check_output(["git", "ls-files", "*.py"], cwd=REPOSITORY, text=True).split()
    files = [name for name in listed if name.startswith(tuple(ROOMS)) and name.startswith(only)]
    texts = {file: (REPOSITORY / file).read_text(encoding="utf-8") for file in files}
    sites = [mutant for file in files for mutant in mutants_of(file)]
    drawn = sorted(sites, key=lambda mutant: mutant.lot(texts[mutant.file], seed))[:count]
    state.parent.mkdir(parents=True, exist_ok=True)
    lines = state.read_text(encoding="utf-8").splitlines() if state.exists() else []
    records = [record for record in map(json.loads, lines) if record["result"] != "survived"]
    known = {record["key"]: record for record in records}
    keys = [mutant.key(texts[mutant.file]) for mutant in drawn]
    if left := [mutant for mutant, key in zip(drawn, keys, strict=True) if key not in known]:
        for mutant, result, seconds in tried(left, texts, limit):
            key = mutant.key(texts[mutant.file])
            known[key] = {"key": key, "result": result, "seconds": round(seconds, 1), **asdict(mutant)}
            with state.open("a", encoding="utf-8") as out:
                out.write(json.dumps(known[key]) + "\n")
    results = [(mutant, known[key]["result"]) for mutant, key in zip(drawn, keys, strict=True)]
    print_table(results, len(sites))


def print_table(results: list[tuple[Mutant, str]], sites: int) -> None:
    """Prints a row for each room, then the survivors."""
    click.echo(
        f"| mutated ({len(results)} of {sites} sites) | mutants | killed | of these by time | survived |"
    )
    click.echo("|---|---|---|---|---|")
    for start in [*ROOMS, ""]:
        own = [result for mutant, result in results if mutant.file.startswith(start)]
        survived, late = own.count("survived"), own.count("timed out")
        click.echo(f"| {start or 'all'} | {len(own)} | {len(own) - survived} | {late} | {survived} |")
    for mutant, result in results:
        if result == "survived":
            before, after = (" ".join(text.split()) for text in (mutant.before, mutant.after[1:-1]))
            click.echo(f"{mutant.file}:{mutant.line}  {before}  ->  {after}")


if __name__ == "__main__":
    main()
