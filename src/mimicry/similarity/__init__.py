"""How alike two models' activations are: a pair at a time or all pairs at once.

Activations are tables of stimuli by features. NumPy arrays need NumPy alone; tensors of
torch, on whatever device, and arrays of other libraries go through the array API.
"""

from mimicry.similarity.all_pairs import (
    METRICS,
    Metric,
    mean_pairwise,
    minimum_pairwise,
    similarity,
    similarity_matrix,
)
from mimicry.similarity.uncertainty import (
    MeanCka,
    MeanInfluences,
    bootstrap_matrices,
    bootstrap_standard_error,
    mean_cka,
    mean_cka_influences,
    mean_cka_standard_error,
)

__all__ = [
    "METRICS",
    "MeanCka",
    "MeanInfluences",
    "Metric",
    "bootstrap_matrices",
    "bootstrap_standard_error",
    "mean_cka",
    "mean_cka_influences",
    "mean_cka_standard_error",
    "mean_pairwise",
    "minimum_pairwise",
    "similarity",
    "similarity_matrix",
]
