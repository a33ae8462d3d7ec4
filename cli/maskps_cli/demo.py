"""`maskps demo`: the paper's pipeline from nothing to an mAP, on new synthetic scenes."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from maskps.datasets import open_dataset
from maskps.datasets.cuhk_sysu.layout import SYNTHETIC_RECORD
from maskps.datasets.protocols import open_protocol, protocol_of_size
from maskps.errors import TrainingError
from maskps.evaluation import evaluate_search
from maskps.evaluation.extraction import extract_detections
from maskps.evaluation.mask_quality import MaskQuality, predict_masks, warn_if_below_mean_mask
from maskps.gallery import Gallery
from maskps.gallery.hits import Search
from maskps.gallery.hits_files import write_hits
from maskps.gallery.photos import read_photo
from maskps.io.files import check_output, write_errors_explained, write_json
from maskps.io.folders import check_replaceable
from maskps.model import Predictor
from maskps.pictures import (
    mask_pictures,
    mask_sheet,
    ranking_pictures,
    ranking_sheet,
    subset_pictures,
    subset_sheet,
)
from maskps.protocols import SearchProtocol
from maskps.structures import PersonSearchDataset
from maskps.subset import open_subset, table1
from maskps.subset.manifest import RECORD_NAME
from maskps.synthetic import SCALES, SynthScale, write_synthetic
from maskps.training import initial_predictor, load_config, load_run, train
from maskps.training.run import RECORD as RUN_RECORD
from maskps_annotation import build_subset_from_labelme, person_outlines_from_labelme
from maskps_cli.options import cores
from maskps_cli.output import print_mask_quality, print_search_results, print_table, progress_bar, say

RECORD, GALLERY = "demo.json", "demo.gallery"


def run_demo(
    out: Path,
    *,
    seed: int = 0,
    force: bool = False,
    quiet: bool = False,
    scale: SynthScale = SCALES["tiny"],
    settings: Sequence[str] = (),
) -> dict[str, Any]:
    """Runs scenes -> subset -> Table 1 -> training -> mAP -> pictures, and returns what it measured.

    Args:
        out: folder to write to; `out / "demo.json"` holds the returned numbers.
        seed: seed of the scenes, the subset's draw and the training.
        scale: of the synthetic set; the search is measured with its largest galleries.
        settings: "key=value" on top of the recipe `tiny`.

    Raises:
        OutputExistsError: `out` holds an earlier demo and `force` is false, or other files.
        OutputError: `out` cannot be written.
        TrainingError: the demo was interrupted, or a loss is not finite.
    """
    check_output(out, record=RECORD, force=force)
    check_replaceable(out / "scenes", record=SYNTHETIC_RECORD, force=force)
    check_replaceable(out / "subset", record=RECORD_NAME, force=force)
    check_output(out / "run", record=RUN_RECORD, force=force)
    try:
        with write_errors_explained(out):
            return _run(out, seed, quiet, scale, settings)
    except (TrainingError, KeyboardInterrupt) as error:
        # The training's advice, --resume, does not apply: a demo starts over.
        raise TrainingError(
            out,
            expected="a demo that runs to its end",
            found=error.found if isinstance(error, TrainingError) else "interrupted",
            hint="start it again with --force",
        ) from error


def _run(out: Path, seed: int, quiet: bool, scale: SynthScale, settings: Sequence[str]) -> dict[str, Any]:
    started = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    numbers: dict[str, Any] = {"format": "maskps-demo", "version": 1, "data": "synthetic", "seed": seed}
    write_json(out / RECORD, numbers | {"state": "running"})

    say("[1/5] rendering synthetic scenes (people, streets, cameras)", quiet=quiet)
    with progress_bar("scenes", quiet=quiet) as update:
        write_synthetic(out / "scenes", scale=scale, seed=seed, jobs=cores(), force=True, progress=update)
    dataset = open_dataset(out / "scenes")

    say("[2/5] drawing the mask subset and turning LabelMe outlines into 14x14 targets", quiet=quiet)
    build_subset_from_labelme(
        dataset, out / "subset", out / "scenes" / "truth" / "labelme", seed=seed, force=True
    )
    subset = open_subset(out / "subset", dataset)
    table = table1(dataset.train, subset.kept_rows)
    print_table(*table.to_table().as_rows())

    say("[3/5] training the mask-guided network (recipe: tiny)", quiet=quiet)
    config = load_config("tiny", [f"seed={seed}", *settings])
    with progress_bar("training", quiet=quiet) as update:
        train(
            config,
            dataset,
            subset,
            out / "run",
            force=True,
            callback=lambda report: update(report.step, report.steps, report.text()),
        )

    protocol = open_protocol(dataset, protocol_of_size(dataset, max(scale.galleries)))
    say(
        f"[4/5] searching: {protocol.num_queries} queries, each in {protocol.gallery_size} gallery images",
        quiet=quiet,
    )
    results = {}
    trained = load_run(out / "run").predictor()
    for name, predictor in (("untrained", initial_predictor(config, dataset)), ("trained", trained)):
        with progress_bar(f"images, {name} network", quiet=quiet) as update:
            detections = extract_detections(predictor, dataset, protocol, progress=update)
        results[name] = evaluate_search(protocol, detections)
    print_search_results(
        "Person search on the synthetic test split: identities and cameras not seen in training", results
    )

    outlines, _ = person_outlines_from_labelme(out / "scenes" / "truth" / "labelme_test", dataset)
    with progress_bar("images, masks", quiet=quiet) as update:
        masks = predict_masks(trained, dataset, outlines, progress=update)
    quality = MaskQuality.of(masks, outlines)
    print_mask_quality(quality)
    warn_if_below_mean_mask(quality)

    say("[5/5] drawing pictures, and indexing the test scenes to search in", quiet=quiet)
    subset_sheet(subset_pictures(dataset, subset)).save(out / "subset.png")
    rankings = ranking_pictures(protocol, detections, results["trained"], dataset.image_path)
    ranking_sheet(rankings, dataset.image_path).save(out / "search.png")
    mask_sheet(mask_pictures(dataset, outlines, masks)).save(out / "masks.png")
    _search_in_own_photos(out, trained, dataset, protocol, quiet=quiet)

    numbers |= {
        "state": "done",
        "table1": asdict(table),
        **{name: result.to_dict() for name, result in results.items()},
        "mask_quality": asdict(quality),
        "seconds": round(time.monotonic() - started, 1),
        "peak_memory_gb": round(_peak_memory_gb(), 2),
    }
    write_json(out / RECORD, numbers)
    say(
        f"done in {numbers['seconds'] / 60:.1f} min, peak memory {numbers['peak_memory_gb']} GB; "
        f"look at subset.png, masks.png, search.png and "
        f"hits.html in {out}",
        quiet=quiet,
    )
    return numbers


def _search_in_own_photos(
    out: Path, predictor: Predictor, dataset: PersonSearchDataset, protocol: SearchProtocol, *, quiet: bool
) -> None:
    """Writes out/demo.gallery with the test scenes, as if they were photos, and out/hits.html.

    The first query is searched for. Its own scene is left out: it would be the first hit.
    """
    for earlier in out.glob(f"{GALLERY}*"):  # of an earlier demo, with --force
        earlier.unlink()
    query, *others = [dataset.image_path(str(protocol.image_names[row])) for row in _query_first(protocol)]
    with Gallery.open(str(out / GALLERY), predictor) as gallery:
        with progress_bar("photos", quiet=quiet) as update:
            gallery.add(others, progress=update)
        pixels, box = read_photo(query).pixels, protocol.query_boxes[0]
        hits = gallery.search(pixels, box)
        found = Search(str(out / GALLERY), query, pixels, box, gallery.store.network, hits)
    write_hits(out / "hits.html", found, force=True)


def _query_first(protocol: SearchProtocol) -> list[int]:
    """Returns the rows of the protocol's images, that of the first query before the others."""
    first = int(protocol.query_scenes[0])
    return [first, *(row for row in range(len(protocol.image_names)) if row != first)]


def _peak_memory_gb() -> float:
    """Peak resident memory of this process or its largest child, in GB (getrusage: KiB on Linux)."""
    unit = 1 if sys.platform == "darwin" else 1024
    own, children = (
        resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return max(own, children) * unit / 1e9
