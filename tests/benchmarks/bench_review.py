"""How large the review page is, and how long it takes to make and to open it in Chromium.

    python tests/benchmarks/bench_review.py                   2,815 persons, as in the paper
    python tests/benchmarks/bench_review.py --root FOLDER     from a synthetic set that is there already
    python tests/benchmarks/bench_review.py --out review.html keeps the page

Prints Markdown. The scenes of a small synthetic set are repeated under other names, with grain of their
own, because rendered pictures compress better than photographs. "Usable" counts from the start of the
navigation to the first accepted person: the list stands, the pictures in the window are there, and a key has
been obeyed.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from maskps.datasets import open_dataset
from maskps.masks.outlines import Outline
from maskps.structures import PersonSearchDataset, Scene, SceneTable
from maskps.subset import build_subset, select_subset
from maskps.synthetic import write_synthetic
from maskps.synthetic.plan import SCALES
from maskps_annotation import outlines_from_labelme
from maskps_annotation.review import write_review

PERSONS = 2815
GRAIN = 9.0  # standard deviation, of 255
CHROMIUM = os.environ.get("MASKPS_CHROMIUM", "/usr/bin/chromium")
PICK = """const one = document.getElementById('{}');
  one.value = '{}';
  one.dispatchEvent(new Event('input'))"""
KEY = "document.body.dispatchEvent(new KeyboardEvent('keydown', {key: 'j', bubbles: true}))"
IN_WINDOW = """() => {
  const first = document.querySelectorAll("article svg image");
  return first.length && [...first].slice(0, 6).every((one) => one.getBBox().width > 0);
}"""


def repeated(
    dataset: PersonSearchDataset, folder: Path, persons: int
) -> tuple[PersonSearchDataset, list[int]]:
    """Returns the training scenes repeated up to so many labeled persons, and which row each one was.

    The images are written to `folder` with new grain.
    """
    rng = np.random.default_rng(0)
    scenes: list[Scene] = []
    sources: list[int] = []
    left = persons
    while left > 0:
        for row in range(len(dataset.train)):
            scene = dataset.train[row]
            labeled = int(scene.is_labeled.sum())
            if 0 < labeled <= left:
                name = f"{len(scenes):05d}-{Path(scene.name).stem}.jpg"
                with Image.open(dataset.image_path(scene.name)) as image:
                    pixels = np.asarray(image.convert("RGB"), dtype=np.float32)
                grainy = pixels + rng.normal(0, GRAIN, (*pixels.shape[:2], 1)).astype(np.float32)
                Image.fromarray(np.clip(grainy, 0, 255).astype(np.uint8)).save(folder / name, quality=90)
                scenes.append(replace(scene, name=name))
                sources.append(row)
                left -= labeled
    table = SceneTable.from_scenes(scenes)
    return replace(dataset, image_dir=folder, train=table, fingerprint=table.fingerprint()), sources


def outlines_of(dataset: PersonSearchDataset, sources: list[int], table: SceneTable) -> dict[int, Outline]:
    """Returns the true outlines of the repeated scenes, by person row."""
    rows = np.unique(np.array(sources))
    truth, _ = outlines_from_labelme(dataset.root / "truth" / "labelme", dataset.train, scene_rows=rows)
    outlines = {}
    for scene, source in enumerate(sources):
        first, origin = int(table.offsets[scene]), int(dataset.train.offsets[source])
        for person in range(len(table[scene])):
            if origin + person in truth:
                outlines[first + person] = truth[origin + person]
    return outlines


def seconds_to_use(page: Page, path: Path) -> float:
    """Returns the time from the start of the navigation to the first obeyed key."""
    page.goto(path.as_uri(), wait_until="commit")
    page.wait_for_function(IN_WINDOW)
    page.keyboard.press("a")
    page.wait_for_function("document.getElementById('counts').textContent.includes('1 accepted')")
    return float(page.evaluate("performance.now()")) / 1000


def seconds_of(page: Page, action: str) -> float:
    """Returns how long a statement and the frame after it take."""
    script = f"""async () => {{
      const begin = performance.now();
      {action};
      await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
      return performance.now() - begin;
    }}"""
    return float(page.evaluate(script)) / 1000


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, help="synthetic set with images and true outlines")
    parser.add_argument("--persons", type=int, default=PERSONS)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--out", type=Path, help="where to keep the page")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        root = given.root or work / "scenes"
        if not root.exists():
            write_synthetic(root, scale=replace(SCALES["tiny"], longest=800))
        (work / "images").mkdir()
        original = open_dataset(root)
        dataset, sources = repeated(original, work / "images", given.persons)
        outlines = outlines_of(original, sources, dataset.train)
        build_subset(
            dataset,
            work / "subset",
            select_subset(dataset.train, portion_size=1),
            outlines=lambda _: outlines,
        )
        out = (given.out or work / "review.html").resolve()
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        begin = time.perf_counter()
        written = write_review(work / "subset", dataset, out, force=True)
        made = time.perf_counter() - begin
        memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        opened, ordered, filtered, stepped = [], [], [], []
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            for _ in range(given.runs):
                context = browser.new_context(viewport={"width": 1366, "height": 768})
                page = context.new_page()
                opened.append(seconds_to_use(page, out))
                ordered.append(seconds_of(page, PICK.format("order", "image")))
                filtered.append(seconds_of(page, PICK.format("show", "undecided")))
                stepped.append(max(seconds_of(page, KEY) for _ in range(20)))
                context.close()
            version = browser.version
            browser.close()
    size = written.bytes / 1e6
    print(f"{written.persons:,} persons, {size:.1f} MB; Chromium {version}, {os.cpu_count()} cores\n")
    print("| | median, s | from - to |\n|---|---|---|")
    print(f"| making the page | {made:.1f} | |")
    for what, values in (
        ("opening it until it is usable", opened),
        ("another order", ordered),
        ("another filter", filtered),
        ("next person, the slowest of 20", stepped),
    ):
        print(f"| {what} | {statistics.median(values):.2f} | {min(values):.2f} - {max(values):.2f} |")
    print(
        f"\nLargest memory: {before / 1024:.0f} MB before the page was made, {memory / 1024:.0f} MB after it."
    )


if __name__ == "__main__":
    main()
