"""The whole annotation of a synthetic set by the real commands, with simulated annotators and a reviewer.

    python tests/benchmarks/annotation_walkthrough.py --out FOLDER [--scale small]

Prints every command and what it printed. The annotators make their usual mistakes, correct what `check`
reports, and draw again what the reviewer, who knows the truth, rejects. The end says how far the collected
14x14 targets are from the true ones. Then the same images are annotated with proposed outlines.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import shapely
from check_recall import places
from outlined_scenes import true_outlines
from proposed_outlines import draw_before_and_after, write_proposed
from simulated_annotators import NOISE, RATES, Mistake, Truth, draw_packs

from maskps.datasets import open_dataset
from maskps.findings import Finding
from maskps.io.files import write_json
from maskps.masks import LabelMeShape, Outline, coverage, read_labelme
from maskps.masks.coverage import THRESHOLD
from maskps.structures import MaskState
from maskps.subset import open_subset
from maskps_annotation.checks import checked_file
from maskps_annotation.collected import COLLECTED_NAME, read_collected
from maskps_annotation.decisions import outline_key
from maskps_annotation.pack_record import PackSet, read_packs
from maskps_annotation.touches import Touches

Person = tuple[str, int]
"""Scene, and index of the box in it."""

LEAST_IOU = 0.8
"""The reviewer rejects what is further from the truth."""


Command = Callable[[Path, Sequence[str]], tuple[int, str]]
"""Runs `maskps-data` with these words in a folder; returns how it ended and what it printed."""


def in_a_process(folder: Path, words: Sequence[str]) -> tuple[int, str]:
    program = Path(sys.executable).with_name("maskps-data")
    environment = os.environ | {"COLUMNS": "110"}
    done = subprocess.run([program, *words], cwd=folder, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


@dataclass(frozen=True)
class Steps:
    """The commands of a walk, which are shown with what they print.

    Attributes:
        shown: lines of every command's output that are shown.
    """

    folder: Path
    command: Command = in_a_process
    shown: int = 30

    def run(self, *words: str, fails: bool = False) -> str:
        """Returns what a command printed.

        Args:
            fails: whether it should end with 1.
        """
        code, text = self.command(self.folder, words)
        if code != int(fails):
            raise RuntimeError(f"maskps-data {' '.join(words)} ended with {code}:\n{text}")
        if "--json" not in words:
            lines = text.splitlines()
            more = [f"... ({len(lines) - self.shown} more lines)"] if len(lines) > self.shown else []
            print("\n".join([f"\n$ maskps-data {' '.join(words)}", *lines[: self.shown], *more]), flush=True)
        return text


def say(text: str) -> None:
    print(f"\n# {text}", flush=True)


def kinds(mistakes: Sequence[Mistake]) -> str:
    counts = Counter(one.kind for one in mistakes)
    return "".join(f"\n#   {count} {kind}" for kind, count in sorted(counts.items()))


def mended(packs: PackSet, mistakes: Sequence[Mistake], findings: Sequence[Finding]) -> list[Mistake]:
    """Returns the mistakes that `check` did not report; their makers correct the others."""
    reported = {place for place, finding in places(packs, findings) if finding.level != "info"}
    reported |= {(*place[:2], "") for place, finding in places(packs, findings) if finding.code == "not-done"}
    return [
        one
        for one in mistakes
        if not any((one.annotator, one.scene, slot) in reported for slot in one.slots or ("",))
    ]


def reviewed(subset_dir: Path, scenes: Path, truth: Truth) -> tuple[dict[str, object], set[Person]]:
    """Returns the decisions of a reviewer who sees the truth, and who is rejected."""
    dataset = open_dataset(scenes)
    subset, train = open_subset(subset_dir, dataset), dataset.train
    decisions, rejected = [], set()
    for row in np.flatnonzero(subset.masks.states != MaskState.NOT_APPLICABLE).tolist():
        scene = int(train.scene_of_person[row])
        name, person = str(train.names[scene]), row - int(train.offsets[scene])
        outline = subset.masks.outlines.get(row)
        comment = _objection(outline, truth[name][person])
        rejected |= {(name, person)} if comment else set()
        decisions.append(
            {
                "scene": name,
                "person": person,
                "decision": "reject" if comment else "accept",
                "comment": comment,
                "outline": outline_key(outline),
            }
        )
    content = {
        "format": "maskps-review",
        "version": 1,
        "fingerprint": dataset.fingerprint,
        "subset": subset_dir.name,
        "reviewer": "rae",
        "decisions": decisions,
    }
    return content, rejected


def _objection(drawn: Outline | None, true: Outline) -> str:
    if drawn is None:
        return "not drawn"
    one, two = drawn.to_shapely(), true.to_shapely()
    shared = shapely.intersection(one, two).area
    if shared / (one.area + two.area - shared) >= LEAST_IOU:
        return ""
    return "missed part" if two.area - shared > one.area - shared else "too much"


def changed_cells(subset_dir: Path, scenes: Path, truth: Truth) -> dict[Person, int]:
    """Returns, for every person with an outline, the cells of the target that are not the true ones."""
    dataset = open_dataset(scenes)
    subset, train = open_subset(subset_dir, dataset), dataset.train
    changed = {}
    for row, outline in subset.masks.outlines.items():
        scene = int(train.scene_of_person[row])
        name, person = str(train.names[scene]), row - int(train.offsets[scene])
        box = train.boxes[row][None].astype(np.float64)
        targets = [coverage(one.edges(), box)[0] >= THRESHOLD for one in (outline, truth[name][person])]
        changed[name, person] = int((targets[0] != targets[1]).sum())
    return changed


def walk(
    steps: Steps,
    *,
    seed: int = 0,
    portion_size: int = 5,
    rates: float = 1.0,
    noise: tuple[float, float] = NOISE,
) -> tuple[dict[Person, int], dict[Person, int], set[Person]]:
    """Goes the whole way in a folder that holds the scenes.

    Args:
        rates: factor for the rates of mistakes.
        noise: of the annotators, in pixels.

    Returns:
        `changed_cells` before and after the corrections, and those who were rejected.
    """
    out = steps.folder
    scenes, subset = out / "scenes", out / "subset"
    truth = true_outlines(scenes)

    steps.run("build-subset", "scenes", "--out", "subset", "--portion-size", str(portion_size))
    steps.run(
        "annotate", "pack", "subset", "--out", "packs", "--annotators", "ann,bob,cem", "--double", "20%"
    )

    say("The annotators draw.")
    packs = read_packs(out / "packs")
    chances = {kind: rate * rates for kind, rate in RATES.items()}
    mistakes = draw_packs(packs, truth, seed=seed, rates=chances, noise=noise)
    say(f"They made {len(mistakes)} mistakes:{kinds(mistakes)}")
    steps.run("annotate", "progress", "packs")
    steps.run("annotate", "check", "packs", fails=True)
    printed = json.loads(steps.run("annotate", "check", "packs", "--json", fails=True))
    findings = [Finding(**one) for one in printed["findings"]]

    say("The annotators correct all errors and warnings of the check.")
    left = mended(packs, mistakes, findings)
    draw_packs(packs, truth, seed=seed, noise=noise, keep=left)
    say(f"{len(left)} mistakes are left:{kinds(left)}")
    steps.run("annotate", "check", "packs")
    steps.run("annotate", "collect", "packs", "--into", "subset")
    steps.run("annotate", "agreement", "packs")
    before = changed_cells(subset, scenes, truth)

    steps.run("annotate", "review", "subset", "--packs", "packs", "--out", "review.html")
    content, rejected = reviewed(subset, scenes, truth)
    write_json(out / "rae.review.json", content)
    say(f"The reviewer looks at the page, rejects {len(rejected)} drawings and saves rae.review.json.")
    steps.run("annotate", "pack", "subset", "--corrections", "rae.review.json", "--out", "corrections")

    say("Whoever drew them draws them again, with care.")
    draw_packs(read_packs(out / "corrections"), truth, seed=seed + 1, rates={}, noise=noise[:1] * 2)
    steps.run("annotate", "check", "corrections")
    steps.run("annotate", "collect", "corrections", "--into", "subset")
    steps.run("stats", "scenes", "--subset", "subset")
    after = changed_cells(subset, scenes, truth)

    say("Cells of 196 in which the 14x14 targets differ from the true ones:")
    print("| | persons | before the corrections | after them |\n|---|---|---|---|")
    for name, persons in (("all", set(after)), ("rejected", rejected)):
        means = [np.mean([cells[one] for one in persons if one in cells]) for cells in (before, after)]
        print(f"| {name} | {len(persons)} | {means[0]:.1f} | {means[1]:.1f} |")
    return before, after, rejected


def walk_with_proposals(
    steps: Steps, *, seed: int = 0, portion_size: int = 5, noise: tuple[float, float] = NOISE
) -> tuple[dict[Person, int], dict[Person, int], list[Touches | None]]:
    """Annotates the same images once more, with proposed outlines, and draws a picture of two persons.

    Returns:
        `changed_cells` without proposals, by the same hands and without mistakes, and with them; and what
        became of each proposal, None if the person was drawn anew.
    """
    out = steps.folder
    truth = true_outlines(out / "scenes")
    build = ("build-subset", "scenes", "--portion-size", str(portion_size), "--out")
    pack = ("annotate", "pack", "assisted", "--annotators", "ann,bob,cem", "--double", "20%", "--out")

    say("A stand-in for a mask branch proposes outlines (proposed_outlines.py).")
    write_proposed(out / "scenes", out / "proposed", truth, seed=seed)
    steps.run(*build, "assisted")
    steps.run(*pack, "packs2", "--propose", "proposed")
    steps.run("annotate", "progress", "packs2")
    packs = read_packs(out / "packs2")
    before = {scene.image: read_labelme(pack.folder / scene.file_name).shapes for pack, scene in packs.files}

    say("The annotators look at each outline, and mend those that are worse than their own would be.")
    draw_packs(packs, truth, seed=seed, rates={}, noise=noise)
    steps.run("annotate", "check", "packs2")
    steps.run("annotate", "collect", "packs2", "--into", "assisted")
    steps.run("annotate", "agreement", "packs2")
    mended = changed_cells(out / "assisted", out / "scenes", truth)
    record = read_collected(out / "assisted" / COLLECTED_NAME)
    proposals = [person.used.proposal for person in record.values()]
    _draw_two(packs, before, out / "proposals.jpg")

    say("The same hands without proposals, for comparison.")
    for words in ((*build, "plain"), (*(word.replace("assisted", "plain") for word in pack), "packs3")):
        steps.command(out, words)
    draw_packs(read_packs(out / "packs3"), truth, seed=seed, rates={}, noise=noise)
    steps.command(out, ("annotate", "collect", "packs3", "--into", "plain"))
    drawn = changed_cells(out / "plain", out / "scenes", truth)
    vertices = sum(map(len, (ring for one in _outlines(out / "plain", out / "scenes") for ring in one.rings)))
    proposed = changed_cells(out / "proposed", out / "scenes", truth)
    say(
        f"As proposed, {np.mean([proposed[one] for one in proposed.keys() & drawn.keys()]):.1f} cells differ."
    )
    _print_saving(drawn, mended, proposals, vertices)
    return drawn, mended, proposals


def _outlines(subset_dir: Path, scenes: Path) -> list[Outline]:
    return list(open_subset(subset_dir, open_dataset(scenes)).masks.outlines.values())


def _print_saving(
    drawn: dict[Person, int], mended: dict[Person, int], proposals: list[Touches | None], vertices: int
) -> None:
    """Prints what the proposals saved.

    Args:
        vertices: of all outlines that were drawn without proposals.
    """
    made = [one for one in proposals if one is not None]
    accepted = sum(one.is_accepted for one in made)
    changed = [
        sum(getattr(one, kind) for one in made) / len(proposals) for kind in ("moved", "added", "deleted")
    ]
    print("\n| per person | vertices moved | added | deleted | accepted as proposed | changed cells |")
    print("|---|---|---|---|---|---|")
    print(
        f"| without proposals | 0 | {vertices / len(drawn):.1f} | 0 | | {np.mean(list(drawn.values())):.1f} |"
    )
    cells = f"{np.mean(list(mended.values())):.1f}"
    numbers = " | ".join(f"{one:.1f}" for one in changed)
    print(f"| with proposals | {numbers} | {accepted} of {len(proposals)} | {cells} |")
    print(f"\n{len(proposals) - len(made)} persons were drawn anew.")


def _draw_two(packs: PackSet, before: dict[str, tuple[LabelMeShape, ...]], out: Path) -> None:
    """Draws the first image in which one proposal was accepted and another corrected by a few points."""
    for pack, scene in packs.files:
        made = checked_file(scene, pack.folder / scene.file_name).touches
        accepted = [name for name, one in made.items() if one.is_accepted]
        corrected = [name for name, one in made.items() if 3 <= one.vertices <= 12]
        if accepted and corrected:
            slots = (accepted[0], corrected[0])
            draw_before_and_after(scene, pack.folder, before[scene.image], slots, out)
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--scale", default="small")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    steps = Steps(options.out)
    if not (options.out / "scenes").exists():
        steps.run("synth", "scenes", "--scale", options.scale, "--seed", str(options.seed))
    walk(steps, seed=options.seed)
    walk_with_proposals(steps, seed=options.seed)


if __name__ == "__main__":
    main()
