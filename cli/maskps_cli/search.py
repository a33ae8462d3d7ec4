"""`maskps search`: who in a gallery looks like the person in a photo."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from maskps.errors import number_of
from maskps_cli.gallery import TimeType, gallery_argument
from maskps_cli.networks import network_options, open_predictor
from maskps_cli.options import NumberRange, force_option, json_option, quiet_option, wrong_value
from maskps_cli.output import echo, print_json, print_table, print_terms, say

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from maskps.gallery import Gallery, PersonPredictor
    from maskps.gallery.hits import Search


class BoxType(click.ParamType):
    """Corners of a box, as text."""

    name = "X0,Y0,X1,Y1"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> list[float]:
        try:
            numbers = [float(part) for part in value.split(",")]
        except ValueError:
            numbers = []
        if len(numbers) != 4:
            self.fail(f"'{value}' is not a box such as 120,40,210,330", param, ctx)
        return numbers


class _ChoiceNeededError(click.ClickException):
    """The photo shows several persons; the message lists them."""

    exit_code = 2


@click.command()
@gallery_argument
@click.argument("image", type=click.Path(path_type=Path))
@network_options
@click.option("--box", type=BoxType(), help="The person's box in pixels of the upright photo.")
@click.option(
    "--person",
    type=click.IntRange(min=1),
    metavar="N",
    help="The N-th person that the network finds in IMAGE.",
)
@click.option(
    "--top", type=click.IntRange(min=1), default=20, show_default=True, help="How many hits at most."
)
@click.option("--camera", "cameras", multiple=True, help="Only this camera; may be repeated.")
@click.option("--from", "start", type=TimeType(), help="Only persons seen at this time or later.")
@click.option("--to", "end", type=TimeType(), help="Only persons seen before this time.")
@click.option(
    "--per-source",
    type=click.IntRange(min=1),
    metavar="N",
    help="At most N hits of one photo or video.  [default: no limit]",
)
@click.option(
    "--min-similarity",
    type=NumberRange(-1, 1),
    default=-1.0,
    help="Leave out hits below this similarity.  [default: none]",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="Write the hits: .html (a page with pictures), .json or .csv.",
)
@click.option("--crops", type=click.Path(path_type=Path), help="Write a picture of each hit to this folder.")
@force_option
@json_option
@quiet_option
def search(
    place: str,
    image: Path,
    run: Path | None,
    onnx: Path | None,
    device: str,
    box: list[float] | None,
    person: int | None,
    top: int,
    cameras: tuple[str, ...],
    start: float | None,
    end: float | None,
    per_source: int | None,
    min_similarity: float,
    out: Path | None,
    crops: Path | None,
    force: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Find who in GALLERY looks most like the person in IMAGE.

    Without --box and --person, IMAGE must show one person; if there are more, they are listed with numbers.
    The network must be the one that the gallery was made with.

    A similarity is the cosine of two vectors: it is not a probability, and it is not identity. Do not decide
    about people by it. Nothing leaves this machine, unless GALLERY is the address of a Milvus server.

    \b
    Example:
      maskps search people.gallery someone.jpg --run run --out hits.html
    """
    from maskps.gallery import Gallery, Where
    from maskps.gallery.gallery import box_inside
    from maskps.gallery.hits import Search, hits_as_dict
    from maskps.gallery.hits_files import CROPS_RECORD, check_hits_file, write_crops, write_hits
    from maskps.gallery.photos import read_photo, shown_path
    from maskps.io.folders import check_replaceable

    if box is not None and person is not None:
        raise click.UsageError("give --box or --person, not both")
    if start is not None and end is not None and end <= start:
        raise click.BadParameter("a time after that of --from is needed", param_hint="'--to'")
    where = Where(cameras=cameras or None, start=start, end=end)
    if out is not None:
        with wrong_value("--out"):
            check_hits_file(out, force=force)
    if crops is not None:
        check_replaceable(crops, record=CROPS_RECORD, force=force)
    pixels = read_photo(image).pixels
    predictor = open_predictor(run, onnx, device)
    with Gallery.open(place, predictor, create=False) as opened:
        _check_cameras(opened, cameras)
        chosen = _only_person(predictor, image, pixels, person) if box is None else box
        with wrong_value("--box"):
            chosen = box_inside(chosen, pixels.shape[1], pixels.shape[0])
        hits = opened.search(pixels, chosen, top, where, per_source=per_source, min_similarity=min_similarity)
        found = Search(shown_path(place), image, pixels, chosen, opened.store.network, hits)
        if not opened.store.count():
            say(f"{place} is empty: add photos or videos with maskps gallery add", quiet=quiet)
    if as_json:
        print_json(hits_as_dict(found))
    else:
        _print_hits(found)
    if out is not None:
        write_hits(out, found, force=force)
        say(f"wrote {out}", quiet=quiet)
    if crops is not None:
        pictures = number_of(write_crops(crops, found, force=force), "picture")
        say(f"wrote {crops}: {pictures}", quiet=quiet)


def _check_cameras(opened: Gallery, cameras: tuple[str, ...]) -> None:
    known = {source.camera for source in opened.sources()} if cameras else set()
    if unknown := [camera for camera in cameras if camera not in known]:
        names = ", ".join(sorted(camera for camera in known if camera is not None)) or "no camera"
        raise click.BadParameter(
            f"'{unknown[0]}' is not in the gallery, which has: {names}", param_hint="'--camera'"
        )


def _only_person(
    predictor: PersonPredictor, image: Path, pixels: NDArray[np.uint8], number: int | None
) -> NDArray[np.float32]:
    """Returns the box of the person in a photo; of several, the one with this number."""
    from maskps.errors import InputFileError, printable
    from maskps.gallery.predictors import MIN_SCORE, persons_in

    boxes, scores, _ = persons_in(predictor, pixels)
    if not len(boxes):
        raise InputFileError(
            image,
            expected="a photo of a person",
            found=f"nobody with a score of {MIN_SCORE} or more",
            hint="give the person's box with --box X0,Y0,X1,Y1",
        )
    if number is None and len(boxes) == 1:
        number = 1
    if number is None or number > len(boxes):
        lines = [
            f"  {row}: box {','.join(f'{value:.0f}' for value in corners)}, score {score:.2f}"
            for row, (corners, score) in enumerate(zip(boxes.tolist(), scores.tolist(), strict=True), start=1)
        ]
        persons = number_of(len(boxes), "person")
        question = f"{printable(str(image))} shows {persons}; choose with --person N or --box:"
        raise _ChoiceNeededError("\n".join([question, *lines]))
    return boxes[number - 1]


def _print_hits(found: Search) -> None:
    from maskps.gallery.hits import NOBODY, film_time, hits_as_dict

    content = hits_as_dict(found)
    box = ",".join(f"{value:.0f}" for value in content["query"]["box"])
    if not content["hits"]:
        echo(NOBODY)
    else:
        print_table(
            f"Most like {found.query}, box {box}",
            ["photo or video", "similarity", "person", "camera", "time"],
            [
                [
                    f"{hit['rank']}. {hit['path']}"
                    f"{' at ' + film_time(hit['frame_time']) if hit['kind'] == 'video' else ''}"
                    f"{'' if hit['is_file_there'] else ' (gone or changed)'}",
                    f"{hit['similarity']:.3f}",
                    str(hit["person"]),
                    hit["camera"] or "",
                    hit["time"] or "",
                ]
                for hit in content["hits"]
            ],
            note=content["note"],
        )
    print_terms(found.network.terms)
