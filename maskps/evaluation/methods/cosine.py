"""The cosine of embeddings, which most of the field ranks by: their dot product, at length 1."""

from maskps.evaluation.methods.method import Method

COSINE = Method(name="cosine", title="", help="The dot product, which is the cosine of unit vectors.")
