"""Distance and similarity of vectors."""

from chainrule.ops import cosine_similarity, pairwise_distance

__all__ = ["cosine_similarity", "pairwise_distance"]
