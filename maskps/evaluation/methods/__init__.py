"""Evaluation methods: one file for each way to rank a query's gallery, all with one interface.

method      the interface: the records `Method` and `QueryGallery`
cosine      the dot product of embeddings, the field's usual method
euclidean   the Euclidean distance of the vectors as they are
context     CBGM: the persons beside the query help to find it
reranking   k-reciprocal re-ranking

docs/extend/method.md shows how to add one.
"""

from maskps.evaluation.methods.context import CBGM, context_matching
from maskps.evaluation.methods.cosine import COSINE
from maskps.evaluation.methods.euclidean import EUCLIDEAN
from maskps.evaluation.methods.method import Method, QueryGallery
from maskps.evaluation.methods.reranking import RERANKING, k_reciprocal_reranking

METHODS: dict[str, Method] = {one.name: one for one in (COSINE, EUCLIDEAN, CBGM, RERANKING)}
"""All methods by name. The commands, result files and reports read this table."""

__all__ = [
    "CBGM",
    "COSINE",
    "EUCLIDEAN",
    "METHODS",
    "RERANKING",
    "Method",
    "QueryGallery",
    "context_matching",
    "k_reciprocal_reranking",
]
