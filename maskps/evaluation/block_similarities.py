"""Similarities of some queries with their galleries, as exact as their scores ask for.

A score depends on how a query's detections compare with its few right answers. So all similarities are quick
ones, in float32, whose error has a bound, and those that are too near to a right answer to tell are replaced
by exact ones: the same scores in two thirds of the time.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from maskps.evaluation.matching import GalleryBlock, GalleryIndex
from maskps.evaluation.similarity import Comparison

_CROWDED = 1 / 32
"""If more of the values than this are near right answers, making all again is quicker."""


@dataclass
class BlockSimilarities:
    """Similarities of a block's queries with their galleries' detections, exact where it matters.

    Attributes:
        values: (P,) float32, one query after another; `rank_matches` writes into them.
        comparison: what they were made from.
        rows: (n,) int64, which of the comparison's queries the block's are.
        index: which of its detections the images hold.
        block: the galleries.
        is_exact: whether all values are.
    """

    values: NDArray[np.float32]
    comparison: Comparison
    rows: NDArray[np.int64]
    index: GalleryIndex
    block: GalleryBlock
    is_exact: bool = False

    def __post_init__(self) -> None:
        self.is_exact |= self.comparison.is_exact

    def rank_matches(
        self, query: NDArray[np.int64], counts: NDArray[np.int64], places: NDArray[np.int64]
    ) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Returns of (m,) right answers the exact similarity, and how many of the query reach it, itself too.

        A right answer is the most similar of some candidates. After it every value of its query compares with
        its own as the exact ones do: what the error of float32 could hide is made exact.

        Args:
            query: (m,) whose right answer it is, counted within the block.
            counts: (m,) how many candidates it has, one at least.
            places: where the candidates are in `values`, those of one right answer after another.
        """
        values, offsets, starts = self.values, self.block.offsets, np.cumsum(counts) - counts
        self._make_exact(np.repeat(query, counts), places)
        matches = np.maximum.reduceat(values[places], starts)
        margins = np.zeros(len(query)) if self.is_exact else self.comparison.margins[self.rows[query]]
        least, most = (matches - margins).astype(np.float32), (matches + margins).astype(np.float32)
        reaching = np.empty(len(query), dtype=np.int64)
        unsure, near = [], []
        for i, of in enumerate(query.tolist()):
            own = values[offsets[of] : offsets[of + 1]]
            reaching[i] = np.count_nonzero(own >= least[i])
            if reaching[i] - np.count_nonzero(own > most[i]) > 1:  # more than itself
                unsure.append(i)
                near.append(offsets[of] + np.flatnonzero((own >= least[i]) & (own <= most[i])))
        if unsure and not self.is_exact:
            self._settle(np.concatenate(near))
            matches = np.maximum.reduceat(values[places], starts)
            for i in unsure:
                own = values[offsets[query[i]] : offsets[query[i] + 1]]
                reaching[i] = np.count_nonzero(own >= matches[i])
        return matches, reaching

    def _settle(self, places: NDArray[np.int64]) -> None:
        if len(places) > _CROWDED * len(self.values):
            self.values[:] = self.comparison.of_block(self.rows, self.index, self.block, exact=True)
            self.is_exact = True
        else:
            self._make_exact(np.searchsorted(self.block.offsets, places, side="right") - 1, places)

    def _make_exact(self, query: NDArray[np.int64], places: NDArray[np.int64]) -> None:
        if not self.is_exact:
            self.values[places] = self.comparison.of_pairs(self.rows[query], self._detections(places))

    def of_query(self, query: int) -> NDArray[np.float32]:
        """Returns the exact similarities of one query, counted within the block, with its whole gallery."""
        places = np.arange(self.block.offsets[query], self.block.offsets[query + 1])
        if self.is_exact:
            return self.values[places]
        return self.comparison.of_pairs(np.full(len(places), self.rows[query]), self._detections(places))

    def _detections(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Returns where in the comparison's gallery these of the block's detections are."""
        block = self.block
        entries = np.searchsorted(block.begins, places, side="right") - 1
        return self.index.starts[block.images[entries]] + places - block.begins[entries]
