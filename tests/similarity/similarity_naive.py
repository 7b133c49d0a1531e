"""Slow references in float64, written from the definitions and nothing of the package."""

import math

import numpy as np


def hsic_biased(k, m):
    h = np.eye(len(k)) - 1.0 / len(k)
    return float(np.trace(k @ h @ m @ h))


def hsic_unbiased(k, m):
    """Song et al. 2012, equation for HSIC_1, term by term."""
    n = len(k)
    k, m = k - np.diag(np.diag(k)), m - np.diag(np.diag(m))
    ones = np.ones(n)
    middle = (ones @ k @ ones) * (ones @ m @ ones) / ((n - 1) * (n - 2))
    return float(np.trace(k @ m) + middle - 2.0 / (n - 2) * (ones @ k @ m @ ones)) / (n * (n - 3))


def cka(x, y, *, hsic=hsic_biased, kernel=lambda x: x @ x.T):
    k, m = kernel(np.asarray(x, np.float64)), kernel(np.asarray(y, np.float64))
    return hsic(k, m) / math.sqrt(hsic(k, k) * hsic(m, m))


def gaussian(fraction):
    def kernel(x):
        distances = np.linalg.norm(x[:, None] - x[None, :], axis=2)
        median = np.median(distances[np.triu_indices(len(x), 1)])
        return np.exp(-(distances**2) / (2 * (fraction * median) ** 2))

    return kernel


def shared_neighbours(x, y, k):
    """Mean overlap of the k nearest by cosine, one stimulus at a time."""
    total = 0
    for i in range(len(x)):
        found = []
        for rows in (x, y):
            near = [
                (-float(rows[i] @ r) / (np.linalg.norm(rows[i]) * np.linalg.norm(r)), j)
                for j, r in enumerate(rows)
                if j != i
            ]
            found.append({j for _, j in sorted(near)[:k]})
        total += len(found[0] & found[1])
    return total / (k * len(x))


def related(n, widths, seed=0, noise=1.0):
    """Features of several models that share a low-dimensional cause, with offsets."""
    draw = np.random.default_rng(seed)
    cause = draw.standard_normal((n, 6))
    return [
        cause @ draw.standard_normal((6, d)) + noise * draw.standard_normal((n, d)) + draw.normal()
        for d in widths
    ]
