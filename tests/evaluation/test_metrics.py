"""Average precision and top-k of one ranking."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import average_precision_score

from maskps.evaluation.metrics import average_precision

RANKING = st.integers(1, 40).flatmap(
    lambda n: st.tuples(
        hnp.arrays(np.bool_, n),
        # Few distinct values, so that ties are the rule.
        hnp.arrays(np.float32, n, elements=st.integers(-4, 4).map(lambda value: value / 8)),
    )
)


def test_worked_example_with_two_truths() -> None:
    """Matches 1 0 0 0 1 of two positives: (1/1 + 2/5) / 2."""
    is_match = np.array([True, False, False, False, True])
    assert average_precision(is_match, np.array([0.9, 0.8, 0.7, 0.6, 0.5])) == pytest.approx(0.70, abs=1e-15)


def test_equal_scores_are_one_threshold() -> None:
    """A match and a miss at the same score: precision 1/2 there, whichever stands first."""
    scores = np.array([0.5, 0.5])
    assert average_precision(np.array([True, False]), scores) == 0.5
    assert average_precision(np.array([False, True]), scores) == 0.5


@pytest.mark.parametrize("is_match", [[], [False, False]])
def test_without_a_match_the_average_precision_is_zero(is_match: list[bool]) -> None:
    assert average_precision(np.array(is_match, dtype=bool), np.zeros(len(is_match))) == 0.0


@settings(deadline=None)
@given(RANKING)
def test_equals_scikit_learn_with_ties(ranking: tuple[np.ndarray, np.ndarray]) -> None:
    is_match, scores = ranking
    expected = average_precision_score(is_match, scores) if is_match.any() else 0.0
    assert average_precision(is_match, scores) == pytest.approx(expected, abs=1e-12)


def test_many_matches_equal_scikit_learn() -> None:
    """With many distinct match scores the counting is done on sorted scores."""
    rng = np.random.default_rng(0)
    scores = rng.integers(0, 300, 1000).astype(np.float32)
    is_match = rng.random(1000) < 0.3
    assert average_precision(is_match, scores) == pytest.approx(
        average_precision_score(is_match, scores), abs=1e-12
    )


@settings(deadline=None)
@given(RANKING)
def test_is_unchanged_by_any_increasing_map_of_the_scores(ranking: tuple[np.ndarray, np.ndarray]) -> None:
    is_match, scores = ranking
    assert average_precision(is_match, scores) == average_precision(is_match, np.exp(3 * scores) - 7)


@settings(deadline=None)
@given(RANKING, st.randoms(use_true_random=False))
def test_is_unchanged_by_shuffling(ranking: tuple[np.ndarray, np.ndarray], random: object) -> None:
    is_match, scores = ranking
    order = list(range(len(scores)))
    random.shuffle(order)  # type: ignore[attr-defined]
    assert average_precision(is_match, scores) == average_precision(is_match[order], scores[order])
