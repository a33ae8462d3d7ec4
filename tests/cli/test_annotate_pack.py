"""`maskps-data annotate pack`, `open` and `progress`, as a user runs them."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from command_line import invoke

from maskps.io.folders import LIST_NAME
from maskps_cli.annotate import annotate
from maskps_cli.options import MaskpsGroup

MAIN = MaskpsGroup("maskps-data", commands={"annotate": annotate})

run = partial(invoke, MAIN, "annotate")


@pytest.fixture(scope="module")
def subset(few_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    from maskps.datasets import open_dataset
    from maskps.subset import build_subset, select_subset

    folder = tmp_path_factory.mktemp("subset") / "subset"
    dataset = open_dataset(few_scenes)
    build_subset(dataset, folder, select_subset(dataset.train, portion_size=1))
    return folder


@pytest.fixture
def packs(subset: Path, few_scenes: Path, tmp_path: Path) -> Path:
    out = tmp_path / "packs"
    options = ("--images", few_scenes, "--out", out, "--annotators", "ann, bob", "--double", "25%")
    result = run("pack", subset, *options)
    assert result.exit_code == 0, result.output
    assert f"{out / 'ann'}: " in result.stderr and "with two annotators" in result.stderr
    return out


def labelme(folder: Path, body: str = "") -> Path:
    """A program that says it is LabelMe 6.3.1, or does what `body` says."""
    path = folder / "labelme"
    path.write_text(
        f"#!{sys.executable}\nimport sys\nif '--version' in sys.argv:\n    print('labelme 6.3.1')\n    "
        f"sys.exit()\n{body}\n"
    )
    path.chmod(0o755)
    return path


def test_pack_writes_a_folder_per_annotator(packs: Path) -> None:
    assert {path.name for path in packs.iterdir()} == {"ann", "bob", "packs.json", LIST_NAME}
    assert json.loads((packs / "packs.json").read_text())["doubled"]


def test_pack_never_overwrites_unasked(packs: Path, subset: Path, few_scenes: Path) -> None:
    result = run("pack", subset, "--images", few_scenes, "--out", packs, "--annotators", "eve")
    assert result.exit_code == 1
    assert "--force" in result.output


@pytest.mark.parametrize("share", ["150%", "-1%", "many", "nan", "1e999"])
def test_a_share_that_is_none_is_wrong_usage(subset: Path, tmp_path: Path, share: str) -> None:
    options = ("--images", tmp_path, "--out", tmp_path / "out", "--annotators", "a,b", "--double", share)
    assert run("pack", subset, *options).exit_code == 2


def test_open_starts_labelme_with_the_settings_of_the_pack(packs: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    program = labelme(tmp_path, f"open({str(seen)!r}, 'w').write('\\n'.join(sys.argv[1:]))")
    result = run("open", packs / "ann", "--labelme", program, QT_QPA_PLATFORM="offscreen")
    assert result.exit_code == 0, result.output
    pack = (packs / "ann").resolve()
    assert seen.read_text().splitlines() == [str(pack), "--config", str(pack / "labelmerc.yaml")]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux needs DISPLAY")
def test_open_without_a_display_says_so_and_starts_nothing(packs: Path, tmp_path: Path) -> None:
    program = labelme(tmp_path, f"open({str(tmp_path / 'seen')!r}, 'w')")
    result = run(
        "open",
        packs / "ann",
        DISPLAY=None,
        WAYLAND_DISPLAY=None,
        QT_QPA_PLATFORM=None,
        MASKPS_LABELME=str(program),
    )
    assert result.exit_code == 1
    assert "DISPLAY" in result.output and "ssh -X" in result.output
    assert not (tmp_path / "seen").exists()


def test_open_without_labelme_says_what_to_install(packs: Path) -> None:
    result = run("open", packs / "ann", "--labelme", "no-such-labelme")
    assert result.exit_code == 1
    assert "maskps[annotate]" in result.output


def test_progress_prints_the_same_numbers_as_table_and_json(packs: Path) -> None:
    result = run("progress", packs, "--json")
    assert result.exit_code == 0, result.output
    listed = json.loads(result.stdout)
    assert [part["annotator"] for part in listed["annotators"]] == ["ann", "bob"]
    assert listed["all"]["persons"] == sum(part["persons"] for part in listed["annotators"])
    table = run("progress", packs).stdout
    assert f"0 of {listed['all']['persons']}" in table


def test_progress_of_a_folder_without_packs_is_one_error(tmp_path: Path) -> None:
    result = run("progress", tmp_path)
    assert result.exit_code == 1
    assert "packs.json" in result.output and "Traceback" not in result.output


def test_progress_names_files_that_are_gone(packs: Path) -> None:
    assert "missing" not in run("progress", packs).stdout
    for path in (packs / "bob").glob("*.json"):
        if path.name not in ("pack.json", LIST_NAME):
            path.unlink()
    printed = run("progress", packs)
    assert printed.exit_code == 0
    assert "bob: the file of " in printed.stdout and "ann: the file of" not in printed.stdout


def test_pack_says_when_nobody_gets_a_proposal(subset: Path, tmp_path: Path) -> None:
    options = ("--annotators", "ann", "--propose", subset)  # which has no outline yet
    result = run("pack", subset, "--out", tmp_path / "packs", *options)
    assert result.exit_code == 0 and f"{subset} proposes no outline" in result.stderr


def test_pack_proposes_the_outlines_of_a_subset_and_progress_counts_them(
    subset: Path, few_scenes: Path, tmp_path: Path
) -> None:
    from maskps.datasets import open_dataset
    from maskps.masks import Outline
    from maskps.subset import build_subset, select_subset

    dataset = open_dataset(few_scenes)
    boxes = dataset.train.boxes

    def diamonds(rows: np.ndarray) -> dict[int, Outline]:
        """The middles of the sides of every other box."""
        persons = np.flatnonzero(np.isin(dataset.train.scene_of_person, rows) & dataset.train.is_labeled)
        middles = {row: boxes[row].reshape(2, 2).mean(axis=0) for row in persons[::2].tolist()}
        return {
            row: Outline(
                (np.array([(x, boxes[row, 1]), (boxes[row, 2], y), (x, boxes[row, 3]), (boxes[row, 0], y)]),)
            )
            for row, (x, y) in middles.items()
        }

    drawn = tmp_path / "drawn"
    build_subset(dataset, drawn, select_subset(dataset.train, portion_size=1), outlines=diamonds)
    out = tmp_path / "packs"
    result = run("pack", subset, "--out", out, "--annotators", "ann", "--propose", drawn)
    assert result.exit_code == 0, result.output
    assert "with a proposed outline" in result.stderr
    (part,) = json.loads(run("progress", out, "--json").stdout)["annotators"]
    assert 0 < part["untouched"] == part["proposals"] < part["persons"]
    assert "proposed, untouched" in run("progress", out).stdout
    record = json.loads((out / "packs.json").read_text(encoding="utf-8"))
    proposals = [
        slot["proposal"] for scene in record["scenes"] for slot in scene["slots"] if "proposal" in slot
    ]
    assert {one["by"] for one in proposals} == {"masks drawn/masks.json"}


def test_pack_only_packs_the_images_of_a_list(subset: Path, few_scenes: Path, tmp_path: Path) -> None:
    from maskps.datasets import open_dataset
    from maskps.subset import open_record

    dataset = open_dataset(few_scenes)
    rows = open_record(subset, dataset)[1]
    names = [str(name) for name in dataset.train.names[rows[:3]]]
    (tmp_path / "next.txt").write_text("# least sure first\n" + "\n\n".join([*names[::-1], names[0]]) + "\n")
    options = ("--annotators", "ann", "--names", tmp_path / "next.txt")
    assert run("pack", subset, "--out", tmp_path / "packs", *options).exit_code == 0
    record = json.loads((tmp_path / "packs" / "packs.json").read_text(encoding="utf-8"))
    assert record["packs"] == {"ann": names}


@pytest.mark.parametrize("text", ["", "# nothing\n", "nobody.jpg\n"])
def test_a_list_without_images_of_the_subset_is_refused(subset: Path, tmp_path: Path, text: str) -> None:
    (tmp_path / "next.txt").write_text(text)
    options = ("--annotators", "ann", "--names", tmp_path / "next.txt")
    result = run("pack", subset, "--out", tmp_path / "packs", *options)
    assert result.exit_code == 1 and "try:" in result.stderr
    assert not (tmp_path / "packs").exists()


@pytest.mark.parametrize("option", ["--propose", "--names"])
def test_corrections_name_their_persons_themselves(subset: Path, tmp_path: Path, option: str) -> None:
    result = run("pack", subset, "--out", tmp_path / "packs", "--corrections", "r.json", option, "x")
    assert result.exit_code == 2 and f"{option} does not go with --corrections" in result.stderr


def test_an_image_that_is_not_in_the_subset_is_refused(few_scenes: Path, tmp_path: Path) -> None:
    from maskps.datasets import open_dataset
    from maskps.subset import SubsetSelection, build_subset, select_subset

    dataset = open_dataset(few_scenes)
    every = select_subset(dataset.train, portion_size=1).kept
    build_subset(dataset, tmp_path / "few", SubsetSelection("names", every[:2], every[:2]))
    (tmp_path / "next.txt").write_text(str(dataset.train.names[every[-1]]))
    options = ("--annotators", "ann", "--names", tmp_path / "next.txt", "--out", tmp_path / "packs")
    result = run("pack", tmp_path / "few", *options)
    assert result.exit_code == 1 and "not in it" in result.stderr
