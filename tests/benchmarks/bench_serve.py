"""How long a click on the page of maskps serve waits, and whether its server grows under many searches.

    OMP_NUM_THREADS=1 python tests/benchmarks/bench_serve.py run photo.jpg --persons 100000 --seconds 60

`run` is a trained run and `photo.jpg` shows persons. The gallery has random vectors, in copies of the photo
with 50 persons each. The server is the command itself, in a process of its own. `click` is from the request
to the last byte of the hits: `first` right after the page was opened, `at once` in the moment in which the
frames appear, `later` when the server has had the time to compute all vectors. With playwright and Chromium
installed, `in the browser` is from the click to the first hit on the page. Memory is the resident size of
the server, after five seconds of searches and at the end.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from maskps.gallery import Gallery, Persons, Source
from maskps.training import load_run

PER_PHOTO, PER_SECOND = 50, 20
CHROMIUM = os.environ.get("MASKPS_CHROMIUM", "/usr/bin/chromium")


def fill(place: Path, run: Path, photo: Path, persons: int) -> None:
    """Writes a gallery of random persons in links to one photo."""
    random = np.random.default_rng(0)
    content = photo.read_bytes()
    with Gallery.open(place, load_run(run, device="cpu").predictor()) as gallery:
        for number in range(persons // PER_PHOTO):
            copy = place.parent / f"{number // 500}" / f"{number}.jpg"
            copy.parent.mkdir(exist_ok=True)
            if number % 500 == 0:
                copy.write_bytes(content)
                first = copy
            else:
                os.link(first, copy)
            state = copy.stat()
            vectors = random.normal(size=(PER_PHOTO, gallery.store.network.dim)).astype(np.float32)
            vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
            camera = f"camera {number % 10}"
            source = Source(
                str(copy), "image", state.st_size, state.st_mtime_ns, "", camera, 1.7e9 + 60 * number
            )
            boxes = np.tile(np.array([10, 10, 60, 120], np.float32), (PER_PHOTO, 1))
            gallery.store.add(
                source, Persons(boxes, np.ones(PER_PHOTO, np.float32), vectors, np.zeros(PER_PHOTO))
            )


class Client:
    """One connection to the server, as the page's."""

    def __init__(self, address: str) -> None:
        parts = urlsplit(address)
        self.connection = HTTPConnection(str(parts.hostname), int(parts.port or 0), timeout=60)
        self.headers = {"X-Maskps-Token": parts.fragment.removeprefix("token=")}

    def ask(self, path: str, body: Any = None) -> tuple[float, bytes]:
        """Returns the seconds until the answer was read, and the answer."""
        content = json.dumps(body).encode() if isinstance(body, dict) else body
        begin = time.perf_counter()
        self.connection.request("GET" if body is None else "POST", path, content, self.headers)
        answer = self.connection.getresponse()
        read = answer.read()
        assert answer.status == 200, read
        return time.perf_counter() - begin, read


@contextmanager
def serving(place: Path, run: Path) -> Iterator[tuple[str, int]]:
    """Runs `maskps serve`; yields the address and the number of its process."""
    command = [sys.executable, "-m", "maskps_cli.main", "serve", str(place), "--run", str(run), "--quiet"]
    with subprocess.Popen([*command, "--device", "cpu"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield next(line.strip() for line in process.stdout if line.startswith("http")), process.pid
        finally:
            process.terminate()


def clicks(client: Client, photo: Path) -> dict[str, list[float]]:
    """Returns the seconds of clicks on persons of a photo."""
    client.ask("/api/info")
    time.sleep(2)  # nobody drops a photo faster
    seconds: dict[str, list[float]] = {"detect": [], "first": [], "at once": [], "later": [], "crop": []}
    for repeat in range(5):
        taken, answer = client.ask("/api/detect", photo.read_bytes())
        seconds["detect"].append(taken)
        found = json.loads(answer)
        assert found["persons"], "nobody is in the photo"
        if not repeat:
            time.sleep(1)
        for turn in range(4):
            box = found["persons"][turn % len(found["persons"])]["box"]
            asked = {"examples": [{"picture": found["picture"], "box": box}]}
            taken, answer = client.ask("/api/search", asked)
            kind = "later" if turn else "at once" if repeat else "first"
            seconds[kind].append(taken)
        for hit in json.loads(answer)["hits"][:5]:
            seconds["crop"].append(client.ask(f"/api/crop/{hit['person']}")[0])
    return seconds


def clicks_in_browser(address: str, photo: Path) -> list[float]:
    """Returns the seconds from a click on a frame to the first hit on the page."""
    from playwright.sync_api import sync_playwright

    script = """(number) => new Promise((done) => {
      const hits = document.getElementById("hits");
      hits.replaceChildren();
      const begin = performance.now();
      new MutationObserver((changes, observer) => {
        observer.disconnect();
        requestAnimationFrame(() => setTimeout(() => done(performance.now() - begin)));
      }).observe(hits, { childList: true });
      const frames = document.querySelectorAll("#stage .frame");
      frames[number % frames.length].click();
    })"""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        page.goto(address)
        page.set_input_files("#file", photo)
        page.locator("#stage .frame").first.wait_for()
        page.wait_for_timeout(1500)
        seconds = [page.evaluate(script, number) / 1000 for number in range(10)]
        browser.close()
    return seconds


def resident(process: int) -> float:
    """Resident size in MB."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def many_searches(client: Client, process: int, persons: int, seconds: int) -> str:
    """Searches at a steady pace, with all kinds of filters; returns a line about time and memory."""
    taken, before = [], 0.0
    begin = time.perf_counter()
    filters: list[dict[str, Any]] = [
        {},
        {"cameras": ["camera 3"]},
        {"per_source": 1},
        {"min_similarity": 0.2},
    ]
    for number in range(seconds * PER_SECOND):
        time.sleep(max(0.0, begin + number / PER_SECOND - time.perf_counter()))
        examples = [{"person": str(1 + (7919 * (number + more)) % persons)} for more in range(1 + number % 3)]
        taken.append(client.ask("/api/search", {"examples": examples, **filters[number % 4]})[0])
        if number == 5 * PER_SECOND:
            before = resident(process)
    took = time.perf_counter() - begin
    quantile = statistics.quantiles(taken, n=100)[98]
    return (
        f"{len(taken):,} searches in {took:.1f} s: median {1000 * statistics.median(taken):.0f} ms, "
        f"99 % within {1000 * quantile:.0f} ms; memory {before:.0f} MB, at the end {resident(process):.0f} MB"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("photo", type=Path)
    parser.add_argument("--persons", type=int, default=100_000)
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench_serve") as folder:
        place = Path(folder) / "people.gallery"
        fill(place, options.run, options.photo, options.persons)
        with serving(place, options.run) as (address, process):
            seconds = clicks(Client(address), options.photo)
            if Path(CHROMIUM).is_file():
                seconds["in the browser"] = clicks_in_browser(address, options.photo)
            print(f"| {options.persons:,} persons, ms | median | largest | of |\n|---|---:|---:|---:|")
            for name, each in seconds.items():
                row = (1000 * statistics.median(each), 1000 * max(each))
                print(f"| {name} | {row[0]:.0f} | {row[1]:.0f} | {len(each)} |")
            print(many_searches(Client(address), process, options.persons, options.seconds), flush=True)


if __name__ == "__main__":
    main()
