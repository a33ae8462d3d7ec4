"""Evaluations during a run: every so many epochs, to keep the best checkpoint.

They use the test protocol, as is common in the field. A checkpoint that is chosen on the test scenes looks
better than it is: report the last one, or say how the best was chosen.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from maskps.config import TrainConfig
from maskps.datasets.protocols import open_protocol, protocol_names, protocol_of_size
from maskps.errors import InputFileError
from maskps.evaluation.extraction import extract_detections
from maskps.evaluation.image_plan import ImagePlan
from maskps.evaluation.search import evaluate_search
from maskps.io.files import read_text, written_atomically
from maskps.model.predictor import Predictor
from maskps.structures import PersonSearchDataset
from maskps.training.checkpoint import Checkpoint, best_path, read_checkpoint, write_checkpoint
from maskps.training.run import EVALUATIONS

_logger = logging.getLogger(__name__)


class Evaluations:
    """Evaluates a run every `eval_every` epochs; the results are lines of evaluations.jsonl.

    Args:
        step: steps that are done. Lines of later steps are dropped.

    Raises:
        ConfigError: the data set has no protocol of `eval_gallery_size`.
        InputFileError: images of the protocol are missing, or evaluations.jsonl is broken.
    """

    def __init__(
        self,
        run_dir: Path,
        config: TrainConfig,
        dataset: PersonSearchDataset,
        *,
        step: int,
        steps_per_epoch: int,
    ) -> None:
        self._run_dir, self._config, self._dataset = run_dir, config, dataset
        self._steps_per_epoch = steps_per_epoch
        has_choice = len(protocol_names(dataset)) > 1
        self._name = protocol_of_size(dataset, config.eval_gallery_size if has_choice else None)
        self._protocol = open_protocol(dataset, self._name)
        ImagePlan.of(dataset, [self._protocol])  # refuses images that are missing, and persons beside them
        self._lines = [line for line in self._read() if line["step"] <= step] if step else []

    def is_due(self, step: int) -> bool:
        """Whether an evaluation after this step is wanted and not done yet."""
        epoch, rest = divmod(step, self._steps_per_epoch)
        is_wanted = rest == 0 and epoch > 0 and epoch % self._config.eval_every == 0
        return is_wanted and all(line["step"] != step for line in self._lines)

    def run(
        self, predictor: Predictor, checkpoint: Checkpoint, *, progress: Callable[[int, int], None]
    ) -> None:
        """Evaluates the network, keeps the checkpoint if it is the best so far, and writes the result.

        After a kill at any moment the evaluation can be repeated.

        Args:
            checkpoint: of this network.
            progress: called with (images done, images in all).
        """
        found = extract_detections(predictor, self._dataset, self._protocol, progress=progress)
        result = evaluate_search(self._protocol, found)
        step = checkpoint.step
        line = {
            "step": step,
            "epoch": step // self._steps_per_epoch,
            "protocol": self._name,
            **{name: getattr(result, name) for name in ("mAP", "top1", "top5", "top10")},
        }
        if result.mAP > self._best_mAP():
            write_checkpoint(best_path(self._run_dir), checkpoint)
        self._lines.append(line)
        path = self._run_dir / EVALUATIONS
        with written_atomically(path) as temporary:
            temporary.write_text("".join(json.dumps(one) + "\n" for one in self._lines), encoding="utf-8")
        _logger.info("evaluation after step %d: mAP %.4f, top-1 %.4f", step, result.mAP, result.top1)

    def _best_mAP(self) -> float:
        """Returns the mAP of best.pt; -1 if there is no such file or no line about it."""
        try:
            best = read_checkpoint(best_path(self._run_dir)).step
        except InputFileError:
            return -1.0
        return next((float(line["mAP"]) for line in self._lines if line["step"] == best), -1.0)

    def _read(self) -> list[dict[str, Any]]:
        path = self._run_dir / EVALUATIONS
        if not path.exists():
            return []
        try:
            lines = [json.loads(line) for line in read_text(path).splitlines()]
            if all(type(line["step"]) is int and type(line["mAP"]) is float for line in lines):
                return lines
        except (ValueError, TypeError, KeyError):
            pass
        raise InputFileError(
            path,
            expected="one JSON object with step and mAP per line",
            found="something else",
            hint="the file was edited; restore it, or delete it to evaluate from now on",
        )
