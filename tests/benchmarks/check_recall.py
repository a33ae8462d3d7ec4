"""Which mistakes of simulated annotators `annotate check` finds, and what it says about good drawings.

python tests/benchmarks/check_recall.py [--scale tiny] [--seeds 3]
python tests/benchmarks/check_recall.py --perfect [--scale cuhk-sysu]    exact outlines, no mistake, no noise
"""

from __future__ import annotations

import argparse
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from outlined_scenes import training_scale, true_outlines, write_outlined_scenes
from simulated_annotators import NEEDLESS, RATES, Mistake, Truth, draw_packs

from maskps.datasets import open_dataset
from maskps.findings import LEVELS, Finding
from maskps.subset import build_subset, select_subset
from maskps.synthetic import SCALES
from maskps_annotation.checks import check_packs
from maskps_annotation.pack_record import PackSet
from maskps_annotation.packs import write_packs

ANNOTATORS = ("ann", "bob", "cem")
REMARKS = {"not-done"}  # the only remark that is the point of a mistake


def make_packs(scenes: Path, folder: Path, scale: str, seed: int, *, double: float) -> tuple[PackSet, Truth]:
    """Packs with every labeled person of the training scenes, and the true outlines."""
    if not scenes.exists():
        write_outlined_scenes(scenes, training_scale(scale), seed=seed)
    dataset = open_dataset(scenes)
    build_subset(dataset, folder / "subset", select_subset(dataset.train, portion_size=1))
    packs = write_packs(
        folder / "subset", dataset, folder / "packs", annotators=ANNOTATORS, double=double, seed=seed
    )
    return packs, true_outlines(scenes)


Place = tuple[str, str, str]  # annotator, scene, slot ("" for the file)


def places(packs: PackSet, findings: Sequence[Finding]) -> Iterator[tuple[Place, Finding]]:
    """Each finding with the annotator, scene and slot it is about."""
    slots: dict[str, tuple[str, str, set[str]]] = {}
    for pack in packs.packs:
        for scene in pack.scenes:
            known = {slot.name for slot in scene.slots}
            for name in (scene.file_name, scene.image):
                slots[f"{pack.annotator}/{name}"] = pack.annotator, scene.scene, known
    for finding in findings:
        file, _, rest = finding.where.partition(" ")
        annotator, scene_name, known = slots[file]
        word = rest.split(" ")[0]
        yield (annotator, scene_name, word if word in known else NEEDLESS if word else ""), finding


def recall(
    packs: PackSet, mistakes: Sequence[Mistake], findings: Sequence[Finding]
) -> dict[str, Counter[str]]:
    """Returns per kind of mistake how often it was made, found by which code, and missed."""
    at = defaultdict(set)
    for place, finding in places(packs, findings):
        if finding.level != "info" or finding.code in REMARKS:
            at[place].add((finding.level, finding.code))
    result: dict[str, Counter[str]] = defaultdict(Counter)
    for one in mistakes:
        found = set().union(*(at[one.annotator, one.scene, slot] for slot in one.slots or ("",)))
        count = result[one.kind]
        levels = [level for level, _ in found]
        worst = next((level for level in ("error", "warning", "info") if level in levels), "missed")
        count.update(["made", worst, *{code for _, code in found}])
    return result


def false_alarms(
    packs: PackSet, mistakes: Sequence[Mistake], findings: Sequence[Finding]
) -> tuple[int, list[Finding]]:
    """Returns the number of drawings in files without a mistake, and the errors and warnings about them."""
    wrong = {(one.annotator, one.scene) for one in mistakes}
    wrong |= {(one.annotator, one.other[0]) for one in mistakes if one.other is not None}
    good = sum(
        len(scene.slots)
        for pack in packs.packs
        for scene in pack.scenes
        if (pack.annotator, scene.scene) not in wrong
    )
    alarms = [one for place, one in places(packs, findings) if one.level != "info" and place[:2] not in wrong]
    return good, alarms


def print_recall(counts: dict[str, Counter[str]]) -> None:
    print("| mistake | made | error | warning | remark | missed | found by |\n|---|---|---|---|---|---|---|")
    for kind in RATES:
        count = counts.get(kind, Counter())
        numbers = " | ".join(str(count[key]) for key in ("made", "error", "warning", "info", "missed"))
        codes = [(n, key) for key, n in count.items() if key not in ("made", *LEVELS, "missed")]
        print(f"| {kind} | {numbers} | {', '.join(f'{key} {n}' for n, key in sorted(codes, reverse=True))} |")


def print_alarms(good: int, alarms: Counter[tuple[str, str]]) -> None:
    print(f"\n{good:,} drawings in files without a mistake:")
    print("\n| level | code | times | in 1,000 |\n|---|---|---|---|")
    for (level, code), n in sorted(alarms.items()):
        print(f"| {level} | {code} | {n} | {1000 * n / good:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--scale", choices=SCALES, default="tiny")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--perfect", action="store_true")
    parser.add_argument("--work", type=Path, help="folder for the scenes, kept for the next run")
    parser.add_argument(
        "--show", metavar="CODE", help="print the findings of a code in files without a mistake"
    )
    options = parser.parse_args()
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    good, alarms = 0, Counter[tuple[str, str]]()
    with tempfile.TemporaryDirectory() as scratch:
        for seed in range(1 if options.perfect else options.seeds):
            folder = Path(scratch) / str(seed)
            scenes = (options.work or folder) / f"{options.scale}{seed}"
            double = 0.0 if options.perfect else 0.1  # perfect drawings of two annotators are the same
            packs, truth = make_packs(scenes, folder, options.scale, seed, double=double)
            if options.perfect:
                mistakes = draw_packs(packs, truth, rates={}, noise=(0.0, 0.0), exact=True)
            else:
                mistakes = draw_packs(packs, truth, seed=seed)
            findings = check_packs(packs)
            for kind, count in recall(packs, mistakes, findings).items():
                counts[kind] += count
            drawings, reported = false_alarms(packs, mistakes, findings)
            good += drawings
            for finding in reported:
                alarms[finding.level, finding.code] += 1
                if finding.code == options.show:
                    print(f"seed {seed}: {finding}")
    if not options.perfect:
        print_recall(counts)
    print_alarms(good, alarms)


if __name__ == "__main__":
    main()
