"""How alike a person who stands still is from sample to sample of a film, and another one at the same place.

    python tests/benchmarks/standing_persons.py RUN [--films 8] [--seconds 20]

Films of synthetic scenes in H.264, with the noise of a sensor. Three people stand: they sway, and move their
arms. After half of the time, three others stand at the same places in the same poses. The film is sampled
once a second. For each pair of thresholds it prints how many rows a person gets (1 is best), and how many of
the people of the second half get none (0 is best).
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from fractions import Fraction
from pathlib import Path
from unittest import mock

import av
import numpy as np

from maskps.boxes import box_iou
from maskps.gallery import Persons, standing
from maskps.gallery.predictors import unit_vectors
from maskps.gallery.standing import Standing
from maskps.gallery.video import open_video
from maskps.model import Predictor
from maskps.synthetic import scene
from maskps.synthetic.appearance import draw_appearance
from maskps.synthetic.camera import open_camera, plan_camera
from maskps.synthetic.pose import draw_pose
from maskps.training import load_run

PEOPLE, RATE, NOISE = 3, 5, 4.0
MOTIONS = {"still": 0.0, "sways": 0.01, "shifts": 0.04}  # standard deviation, as a part of the height
QUALITIES = (20, 32)  # H.264's constant rate factor: good, poor


def pictures(seed: int, seconds: int, motion: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Returns a picture and the persons' boxes (3, 4) of each second."""
    rng = np.random.default_rng(seed)
    camera = open_camera(plan_camera((seed, 9), longest=400, heights=(0.3, 0.7)))
    places = scene.place_people(camera.plan, PEOPLE, rng=rng)
    casts = [[draw_appearance(rng) for _ in range(PEOPLE)] for _ in range(2)]
    poses = [draw_pose(rng, bag=person.bag, bag_side=person.bag_side) for person in casts[0]]
    images, boxes = [], []
    for second in range(seconds):
        at = places + rng.normal(0, motion, (PEOPLE, 3)) * places[:, 2:] * [1, 0.2, 0.2]
        now = iter(
            [
                dataclasses.replace(
                    pose,
                    lean=pose.lean + rng.normal(0, motion),
                    arms=tuple(rng.normal(pose.arms, 5 * motion)),
                )
                for pose in poses
            ]
            * 8
        )
        with (
            mock.patch.object(scene, "place_people", lambda *a, at=at, **o: at),
            mock.patch.object(scene, "draw_pose", lambda *a, now=now, **o: next(now)),
        ):
            shown = scene.render_scene(camera, casts[2 * second // seconds], rng=np.random.default_rng(seed))
        images.append(shown.image)
        boxes.append(np.hstack([shown.boxes[:, :2], shown.boxes[:, :2] + shown.boxes[:, 2:]]))
    return images, boxes


def write_film(path: Path, images: list[np.ndarray], crf: int) -> None:
    """Writes a film that shows each picture for a second, with new noise in each frame."""
    rng = np.random.default_rng(0)
    height, width = (side // 2 * 2 for side in images[0].shape[:2])
    with av.open(path, "w") as film:
        stream = film.add_stream("libx264", rate=RATE, options={"crf": str(crf)})
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        for number in range(len(images) * RATE):
            noisy = images[number // RATE][:height, :width] + rng.normal(0, NOISE, (height, width, 1))
            frame = av.VideoFrame.from_ndarray(noisy.clip(0, 255).astype(np.uint8), "rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            film.mux(stream.encode(frame))
        film.mux(stream.encode())


def found_in(path: Path, predictor: Predictor, boxes: list[np.ndarray]) -> list[tuple[Persons, np.ndarray]]:
    """Returns for each sample the persons found, and which of the three each of them is, -1 for nobody."""
    samples = []
    with open_video(path) as video:
        for frame, truth in zip(video.samples(1.0), boxes, strict=True):
            found = predictor.detect(frame.pixels)
            rows = found.scores >= 0.5
            vectors = unit_vectors(found.embeddings[rows])
            times = np.full(int(rows.sum()), frame.time)
            overlap = box_iou(found.boxes[rows], truth)
            who = (
                np.where(overlap.max(axis=1) > 0.5, overlap.argmax(axis=1), -1) if len(times) else np.zeros(0)
            )
            samples.append((Persons(found.boxes[rows], found.scores[rows], vectors, times), who))
    return samples


def pairs_of(samples: list[tuple[Persons, np.ndarray]]) -> dict[str, list[tuple[float, float]]]:
    """Returns IoU and cosine of all pairs: of one person at two times, of two people at one place."""
    pairs: dict[str, list[tuple[float, float]]] = {"one": [], "two": []}
    for first in range(len(samples)):
        for second in range(first + 1, len(samples)):
            (a, who_a), (b, who_b) = samples[first], samples[second]
            is_one = 2 * first // len(samples) == 2 * second // len(samples)
            for row, column in np.argwhere((who_a[:, None] == who_b) & (who_a[:, None] >= 0)):
                iou = float(box_iou(a.boxes[[row]], b.boxes[[column]])[0, 0])
                cosine = float(a.vectors[row] @ b.vectors[column])
                pairs["one" if is_one else "two"].append((iou, cosine))
    return pairs


def rows_and_lost(samples: list[tuple[Persons, np.ndarray]]) -> tuple[list[int], list[bool]]:
    """Returns rows for each person who is found at all, and whether each of the second half gets none."""
    kept = Standing(Persons.none(samples[0][0].vectors.shape[1]))
    rows, seen = np.zeros((2, PEOPLE), int), np.zeros((2, PEOPLE), bool)
    for second, (persons, who) in enumerate(samples):
        half = 2 * second // len(samples)
        new = kept.newcomers(persons)
        is_new = (persons.boxes[:, None] == new.boxes).all(axis=2).any(axis=1)
        for person, is_kept in zip(who, is_new, strict=True):
            if person >= 0:
                seen[half, int(person)] = True
                rows[half, int(person)] += is_kept
    return rows[seen].tolist(), (rows[1][seen[1]] == 0).tolist()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("--films", type=int, default=8)
    parser.add_argument("--seconds", type=int, default=20)
    options = parser.parse_args()
    predictor = load_run(options.run).predictor()
    films: dict[str, list[list[tuple[Persons, np.ndarray]]]] = {name: [] for name in MOTIONS}
    with tempfile.TemporaryDirectory() as folder:
        for name, motion in MOTIONS.items():
            for seed in range(options.films):
                images, boxes = pictures(seed, options.seconds, motion)
                path = Path(folder) / "film.mp4"
                write_film(path, images, QUALITIES[seed % 2])
                films[name].append(found_in(path, predictor, boxes))
    for name, own in films.items():
        pairs = [pairs_of(film) for film in own]
        one = np.array([pair for each in pairs for pair in each["one"]])
        two = np.array([pair for each in pairs for pair in each["two"]])
        low, high = np.quantile(one, [0.05, 0.5], axis=0), np.quantile(two[:, 1], [0.5, 0.95, 0.99])
        print(f"{name}: one person, IoU 5 % {low[0, 0]:.3f}, median {low[1, 0]:.3f}; "
              f"cosine 5 % {low[0, 1]:.3f}, median {low[1, 1]:.3f}; "
              f"two people, cosine median {high[0]:.3f}, 95 % {high[1]:.3f}, 99 % {high[2]:.3f}")  # fmt: skip
    print(f"\n{'IoU':>5} {'cosine':>6}", *(f"{name + ': rows, lost':>22}" for name in films))
    for place, look in (
        (0.9, 0.98),
        (0.9, 0.95),
        (0.8, 0.95),
        (0.8, 0.9),
        (0.7, 0.95),
        (0.7, 0.9),
        (0.7, 0.8),
    ):
        cells = []
        for own in films.values():
            with mock.patch.multiple(standing, SAME_PLACE=place, SAME_LOOK=look):
                results = [rows_and_lost(film) for film in own]
            rows = [count for each, _ in results for count in each]
            lost = [is_lost for _, each in results for is_lost in each]
            cells.append(f"{np.mean(rows):>11.2f} {sum(lost):>4} of {len(lost):>2}")
        print(f"{place:>5} {look:>6}", *(f"{cell:>22}" for cell in cells))
    samples = options.seconds // 2
    print(f"without it a person gets up to {samples} rows")


if __name__ == "__main__":
    main()
