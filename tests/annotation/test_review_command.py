"""`maskps-data annotate review` from the command line."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from command_line import invoke

from maskps_cli.data import main

run = partial(invoke, main)


@pytest.fixture(scope="module")
def subset(few_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("command") / "subset"
    truth = few_scenes / "truth" / "labelme"
    assert run("build-subset", few_scenes, "--out", out, "--labelme", truth).exit_code == 0
    return out


def test_it_finds_the_images_and_prints_persons_and_size(subset: Path, tmp_path: Path) -> None:
    out = tmp_path / "review.html"
    result = run("annotate", "review", subset, "--out", out)
    assert result.exit_code == 0
    assert result.stdout == ""
    assert "0 without outline" in result.stderr
    assert f"wrote {out} ({out.stat().st_size / 1e6:.2f} MB)" in result.stderr


def test_with_packs_it_prints_what_the_checks_find(subset: Path, tmp_path: Path) -> None:
    packs = tmp_path / "packs"
    assert run("annotate", "pack", subset, "--out", packs, "--annotators", "ann").exit_code == 0
    result = run("annotate", "review", subset, "--out", tmp_path / "review.html", "--packs", packs)
    assert result.exit_code == 0
    assert "0 with an error, 0 with a warning" in result.stderr


def test_quiet_says_nothing(subset: Path, tmp_path: Path) -> None:
    result = run("annotate", "review", subset, "--out", tmp_path / "review.html", "--quiet")
    assert (result.exit_code, result.output) == (0, "")


def test_an_existing_page_is_kept_without_force(subset: Path, tmp_path: Path) -> None:
    out = tmp_path / "review.html"
    assert run("annotate", "review", subset, "--out", out).exit_code == 0
    refused = run("annotate", "review", subset, "--out", out)
    assert refused.exit_code == 1
    assert "--force" in refused.stderr
    assert run("annotate", "review", subset, "--out", out, "--force").exit_code == 0


@pytest.mark.parametrize("words", [["--packs", "nowhere"], ["--images", "nowhere"]])
def test_a_path_that_is_not_there_is_named(subset: Path, tmp_path: Path, words: list[str]) -> None:
    result = run("annotate", "review", subset, "--out", tmp_path / "review.html", *words)
    assert result.exit_code == 1
    assert "nowhere" in result.stderr and "try:" in result.stderr
    assert list(tmp_path.iterdir()) == []
