"""Files that `import_weights` refuses, with one message each; and the data that a table is of."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from maskps.errors import ConfigError, InputFileError, OutputExistsError
from maskps.training import import_weights
from maskps.training.imported import data_of_table

FILE = Path("epoch_19.pth")


def half_of(write: Callable[[Path], object]) -> Callable[[Path], object]:
    def cut(path: Path) -> None:
        write(path)
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2])

    return cut


def checkpoint(path: Path) -> None:
    torch.save({"model": {"backbone.conv1.weight": torch.zeros(64, 3, 7, 7)}, "epoch": 19}, path)


def old_checkpoint(path: Path) -> None:
    state = {"model": {"backbone.conv1.weight": torch.zeros(64, 3, 7, 7)}}
    torch.save(state, path, _use_new_zipfile_serialization=False)


@pytest.mark.parametrize(
    ("write", "found"),
    [
        (half_of(checkpoint), "cut off"),
        (half_of(old_checkpoint), "Error"),
        (lambda path: path.write_text("not weights"), "not a file of tensors"),
        (lambda path: path.write_bytes(pickle.dumps({"model": Path}, protocol=2)), "not a file of tensors"),
        (lambda path: path.write_bytes(pickle.dumps({"model": Path}, protocol=4)), "not a file of tensors"),
        (lambda path: path.write_bytes(b""), "Error"),
        (Path.mkdir, "a folder"),
        (lambda path: None, "no such file"),
        (lambda path: torch.save([torch.zeros(1)], path), "list without names"),
        (lambda path: torch.save({1: torch.zeros(1)}, path), "dict without names"),
    ],
)
def test_a_file_that_is_no_checkpoint_is_refused(
    write: Callable[[Path], object], found: str, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    file, out = tmp_path / "epoch_19.pth", tmp_path / "run"
    write(file)
    with pytest.raises(InputFileError, match=r"epoch_19\.pth") as caught:
        import_weights("seqnet", file, out)
    assert found in caught.value.found and caught.value.expected and caught.value.hint
    assert not recwarn.list, "torch's own remarks are not for the user"
    assert [path.name for path in tmp_path.iterdir() if path != file] == []


def test_an_existing_folder_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("keep")
    checkpoint(tmp_path / "epoch_19.pth")
    with pytest.raises(OutputExistsError, match="other content"):
        import_weights("seqnet", tmp_path / "epoch_19.pth", tmp_path, force=True)


def test_unknown_networks_and_sets_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="one of seqnet"):
        import_weights("coat", FILE, tmp_path / "run")
    with pytest.raises(ConfigError, match="one of cuhk-sysu, prw, other"):
        import_weights("seqnet", FILE, tmp_path / "run", data="market")


@pytest.mark.parametrize(
    ("rows", "given", "data"),
    [
        (5532, None, "cuhk-sysu"),
        (482, None, "prw"),
        (483, None, "prw"),
        (483, "prw", "prw"),
        (5532, "cuhk-sysu", "cuhk-sysu"),
        (5532, "other", "other"),
        (77, "other", "other"),
    ],
)
def test_the_size_of_the_table_names_the_data(rows: int, given: str | None, data: str) -> None:
    assert data_of_table(rows, given, FILE) == data


@pytest.mark.parametrize(
    ("rows", "given", "expected"),
    [
        (77, None, "5,532 rows for cuhk-sysu or 482 rows for prw or 483 rows for prw"),
        (5532, "prw", "482 rows for prw or 483 rows for prw"),
        (483, "cuhk-sysu", "5,532 rows for cuhk-sysu"),
        (0, "other", "at least one row"),
    ],
)
def test_a_table_of_another_size_is_refused(rows: int, given: str | None, expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        data_of_table(rows, given, FILE)
    assert caught.value.expected.endswith(expected) and caught.value.found == f"{rows:,} rows"
    assert ("--data other" in caught.value.hint) == (rows > 0)
