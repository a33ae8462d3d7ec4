"""`maskps-data import-masks` and the export of run lengths, as a user types them."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from command_line import invoke
from folder_contents import contents_of
from PIL import Image

from maskps.datasets import open_dataset
from maskps.io.images import image_size
from maskps.masks import read_masks
from maskps.masks.rasterising import outline_to_mask
from maskps.structures import MaskState
from maskps.subset import open_subset
from maskps_cli.data import main
from maskps_cli.masks import export_coco_rle, import_masks
from maskps_cli.options import MaskpsGroup

masks_commands = MaskpsGroup("maskps-data", commands=[import_masks])

run = partial(invoke, masks_commands)


@pytest.fixture(scope="module")
def subsets(few_scenes: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the subset "full", which has all outlines, and "bare", the same without any."""
    folder = tmp_path_factory.mktemp("subsets")
    labelme = few_scenes / "truth" / "labelme"
    full = invoke(main, "build-subset", few_scenes, "--out", folder / "full", "--labelme", labelme)
    bare = invoke(main, "build-subset", few_scenes, "--out", folder / "bare")
    assert (full.exit_code, bare.exit_code) == (0, 0), full.output + bare.output
    return folder


@pytest.fixture(scope="module")
def pngs(few_scenes: Path, subsets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The outlines of "full" as one PNG per image."""
    folder = tmp_path_factory.mktemp("pngs")
    dataset = open_dataset(few_scenes)
    subset = open_subset(subsets / "full", dataset)
    for scene in subset.kept_rows.tolist():
        width, height = image_size(dataset.image_path(str(dataset.train.names[scene])))
        numbers = np.zeros((height, width), dtype=np.uint8)
        for number, (row, outline) in enumerate(subset.masks.outlines.items(), start=1):
            if dataset.train.scene_of_person[row] == scene:
                numbers[outline_to_mask(outline, width, height)] = number
        Image.fromarray(numbers).save(folder / f"{Path(str(dataset.train.names[scene])).stem}.png")
    return folder


def test_our_own_masks_come_back_byte_by_byte(few_scenes: Path, subsets: Path, tmp_path: Path) -> None:
    source = subsets / "full" / "masks.json"
    before = contents_of(subsets)
    result = run(
        "import-masks", few_scenes, "--subset", subsets / "bare", "--from", source, "--out", tmp_path / "new"
    )
    assert result.exit_code == 0, result.output
    assert contents_of(tmp_path / "new") == contents_of(subsets / "full")
    assert contents_of(subsets) == before


def test_pngs_become_outlines_of_the_same_pixels(
    few_scenes: Path, subsets: Path, pngs: Path, tmp_path: Path
) -> None:
    result = run(
        *("import-masks", few_scenes, "--subset", subsets / "bare", "--from", pngs),
        *("--out", tmp_path / "new", "--json"),
    )
    assert result.exit_code == 0, result.output
    dataset = open_dataset(few_scenes)
    true, new = (open_subset(folder, dataset).masks for folder in (subsets / "full", tmp_path / "new"))
    counts = json.loads(result.stdout)
    assert counts["added"] == counts["fitted"] == len(new.outlines) == len(true.outlines) > 0
    assert counts["record"]["masks_present"] == counts["added"]
    np.testing.assert_array_equal(new.states, true.states)
    for row, outline in new.outlines.items():
        width, height = np.ceil(dataset.train.boxes[row, 2:]).astype(int) + 20
        again = outline_to_mask(outline, width, height)
        assert (again != outline_to_mask(true.outlines[row], width, height)).mean() < 0.05


@pytest.mark.parametrize("replace", [False, True])
def test_outlines_of_the_subset_stay_unless_they_are_to_be_replaced(
    few_scenes: Path, subsets: Path, pngs: Path, tmp_path: Path, replace: bool
) -> None:
    result = run(
        *("import-masks", few_scenes, "--subset", subsets / "full", "--from", pngs),
        *("--out", tmp_path / "new", "--json", *(["--replace"] if replace else [])),
    )
    counts = json.loads(result.stdout)
    assert (counts["added"], counts["replaced"] > 0, counts["kept"] > 0) == (0, replace, not replace)
    assert (contents_of(tmp_path / "new") == contents_of(subsets / "full")) is not replace


def test_errors_write_nothing_unless_they_are_to_be_skipped(
    few_scenes: Path, subsets: Path, pngs: Path, tmp_path: Path
) -> None:
    source = tmp_path / "pngs"
    source.mkdir()
    names = sorted(path.name for path in pngs.iterdir())
    for name in names:
        (source / name).write_bytes((pngs / name).read_bytes())
    (source / names[0]).write_bytes(b"broken")
    arguments = ("import-masks", few_scenes, "--subset", subsets / "bare", "--from", source)
    result = run(*arguments, "--out", tmp_path / "new", "--quiet")
    assert result.exit_code == 1
    assert names[0] in result.stderr
    assert "--skip-errors" in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "new").exists()

    result = run(*arguments, "--out", tmp_path / "new", "--skip-errors")
    assert result.exit_code == 0
    dataset = open_dataset(few_scenes)
    masks = read_masks(tmp_path / "new" / "masks.json", dataset.train, fingerprint=dataset.fingerprint)
    assert (masks.states == MaskState.MISSING).any()
    assert (masks.states == MaskState.PRESENT).any() == (len(names) > 1)


@pytest.mark.parametrize("more", [(), ("--skip-errors",)])
def test_an_import_of_nothing_is_an_error_that_writes_nothing(
    few_scenes: Path, subsets: Path, tmp_path: Path, more: tuple[str, ...]
) -> None:
    (tmp_path / "results.json").write_text("[]")
    result = run(
        *("import-masks", few_scenes, "--subset", subsets / "bare", "--from", tmp_path / "results.json"),
        *("--out", tmp_path / "new", "--json", *more),
    )
    assert result.exit_code == 1
    assert "nothing was written: no mask of" in result.stderr
    assert "from_your_tool" in result.stderr
    assert [finding["code"] for finding in json.loads(result.stdout)["findings"]] == ["nothing-used"]
    assert not (tmp_path / "new").exists()


def test_the_least_score_is_an_option_and_counted(few_scenes: Path, subsets: Path, tmp_path: Path) -> None:
    content = json.loads((subsets / "full" / "masks.json").read_text())
    drawn = [annotation for annotation in content["annotations"] if annotation["segmentation"]]
    keys = ("image_id", "category_id", "segmentation", "bbox")
    results = [{key: annotation[key] for key in keys} | {"score": 0.4} for annotation in drawn]
    (tmp_path / "results.json").write_text(json.dumps(results))
    arguments = (
        "import-masks",
        few_scenes,
        "--subset",
        subsets / "bare",
        "--from",
        tmp_path / "results.json",
    )
    result = run(*arguments, "--out", tmp_path / "new")
    assert result.exit_code == 1
    assert re.search(rf"--min-score, not used +{len(drawn)}\n", result.stdout)
    result = run(*arguments, "--out", tmp_path / "new", "--min-score", 0.4, "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["fitted"] == len(drawn)
    assert run(*arguments, "--out", tmp_path / "new2", "--min-score", 2).exit_code == 2


def test_an_existing_subset_is_kept_without_force(few_scenes: Path, subsets: Path, pngs: Path) -> None:
    before = contents_of(subsets)
    result = run(
        "import-masks", few_scenes, "--subset", subsets / "bare", "--from", pngs, "--out", subsets / "bare"
    )
    assert result.exit_code == 1
    assert "--force" in result.stderr
    assert contents_of(subsets) == before


def test_many_findings_of_a_kind_are_counted(few_scenes: Path, subsets: Path, tmp_path: Path) -> None:
    for number in range(5):
        Image.new("L", (3, 3)).save(tmp_path / f"unknown{number}.png")
    result = run(
        *("import-masks", few_scenes, "--subset", subsets / "bare"),
        *("--from", tmp_path, "--out", tmp_path / "new"),
    )
    assert result.stderr.count("no training image has this name") == 3
    assert "2 more of png-unknown" in result.stderr


def test_run_lengths_are_written_and_counted(
    subsets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    masks, out = subsets / "full" / "masks.json", tmp_path / "rle.json"
    export_coco_rle(masks, out)
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "wrote" in printed.err and "with holes" in printed.err
    export_coco_rle(masks, out, as_json=True, force=True, quiet=True)
    printed = capsys.readouterr()
    assert 0 < json.loads(printed.out)["masks"] <= json.loads(printed.out)["persons"]
    assert printed.err == ""


def test_run_lengths_come_back_as_masks(few_scenes: Path, subsets: Path, tmp_path: Path) -> None:
    export_coco_rle(subsets / "full" / "masks.json", tmp_path / "rle.json", quiet=True, as_json=True)
    result = run(
        *("import-masks", few_scenes, "--subset", subsets / "bare", "--from", tmp_path / "rle.json"),
        *("--out", tmp_path / "new"),
    )
    assert result.exit_code == 0, result.output
    dataset = open_dataset(few_scenes)
    true, new = (open_subset(folder, dataset).masks for folder in (subsets / "full", tmp_path / "new"))
    assert new.outlines.keys() == true.outlines.keys()
    for row, outline in new.outlines.items():
        np.testing.assert_array_equal(
            outline_to_mask(outline, 160, 160), outline_to_mask(true.outlines[row], 160, 160)
        )
