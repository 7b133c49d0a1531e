"""Wing outlines, the coordinates that patterns are drawn in, and veins.

Lengths are in units of the forewing's length. The base of a right wing lies at the
origin, x points away from the body and y towards the head.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

# Each wing: its leading and its trailing edge, both from the base to the tip.
_OUTLINES: dict[str, tuple[list[tuple[float, float]], list[tuple[float, float]]]] = {
    "A-fore": (
        [(0, 0.025), (0.16, 0.125), (0.36, 0.25), (0.56, 0.352), (0.75, 0.432), (0.89, 0.47),
         (0.965, 0.462), (0.985, 0.425)],
        [(0, 0.025), (0.05, -0.022), (0.22, -0.045), (0.42, -0.055), (0.57, -0.05),
         (0.655, -0.015), (0.73, 0.07), (0.80, 0.165), (0.885, 0.27), (0.955, 0.36),
         (0.985, 0.425)],
    ),
    "A-hind": (
        [(0, 0.02), (0.14, 0.08), (0.33, 0.08), (0.51, 0.03), (0.645, -0.055), (0.715, -0.155)],
        [(0, 0.02), (0.012, -0.13), (0.05, -0.29), (0.10, -0.425), (0.17, -0.51),
         (0.275, -0.53), (0.40, -0.50), (0.525, -0.42), (0.645, -0.30), (0.705, -0.22),
         (0.715, -0.155)],
    ),
    "mimic-fore": (
        [(0, 0.025), (0.14, 0.145), (0.33, 0.285), (0.53, 0.40), (0.70, 0.475), (0.83, 0.50),
         (0.905, 0.475), (0.925, 0.42)],
        [(0, 0.025), (0.05, -0.03), (0.22, -0.07), (0.42, -0.095), (0.60, -0.10),
         (0.70, -0.06), (0.745, 0.03), (0.775, 0.125), (0.83, 0.235), (0.90, 0.34),
         (0.925, 0.42)],
    ),
    "mimic-hind": (
        [(0, 0.02), (0.13, 0.075), (0.31, 0.08), (0.49, 0.03), (0.64, -0.06), (0.705, -0.17)],
        [(0, 0.02), (0.02, -0.14), (0.065, -0.33), (0.115, -0.48), (0.175, -0.575),
         (0.25, -0.60), (0.315, -0.575), (0.395, -0.572), (0.45, -0.52), (0.535, -0.487),
         (0.585, -0.415), (0.655, -0.355), (0.69, -0.27), (0.705, -0.17)],
    ),
}  # fmt: skip


def smooth(points: npt.ArrayLike, closed: bool = False, steps: int = 8) -> FloatArray:
    """Return a Catmull-Rom curve through `points`, shape (n, 2), as a dense polyline."""
    knots = np.asarray(points, dtype=np.float64)
    if closed:
        padded = np.concatenate([knots[-1:], knots, knots[:2]])
    else:
        padded = np.concatenate([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    a, b, c, d = (padded[i : len(padded) - 3 + i, None] for i in range(4))
    t = (np.arange(steps) / steps)[None, :, None]
    curve = 0.5 * (
        2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3
    )
    dense = curve.reshape(-1, 2)
    return dense if closed else np.concatenate([dense, knots[-1:]])


def _by_arc_length(curve: FloatArray, count: int = 65) -> FloatArray:
    lengths = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(curve, axis=0).T))])
    where = np.linspace(0.0, lengths[-1], count)
    return np.stack([np.interp(where, lengths, curve[:, k]) for k in range(2)], axis=1)


@dataclass(frozen=True)
class Wing:
    """A right wing: its two edges as polylines of equal length, from base to tip."""

    leading: FloatArray
    trailing: FloatArray

    @property
    def outline(self) -> FloatArray:
        """The closed outline, shape (n, 2)."""
        return np.concatenate([self.leading, self.trailing[-2::-1]])

    def across(self, along: npt.ArrayLike, up: npt.ArrayLike) -> FloatArray:
        """Return points between the edges.

        Parameters
        ----------
        along : array_like
            0 at the base, 1 at the tip, by arc length of each edge.
        up : array_like
            0 on the trailing edge, 1 on the leading edge.
        """
        where = np.linspace(0.0, 1.0, len(self.leading))
        at, rise = np.broadcast_arrays(np.asarray(along, float), np.asarray(up, float))
        points = [
            np.interp(at, where, self.trailing[:, k]) * (1 - rise)
            + np.interp(at, where, self.leading[:, k]) * rise
            for k in range(2)
        ]
        return np.stack(points, axis=-1)

    def around(self, turn: npt.ArrayLike, reach: npt.ArrayLike) -> FloatArray:
        """Return points of a fan around the wing's base.

        Parameters
        ----------
        turn : array_like
            0 towards the leading edge's shoulder, 1 along the body.
        reach : array_like
            0 at the hub near the base, 1 on the margin.
        """
        hub = np.array([0.045, -0.03])
        outer = self.outline - hub
        angles = np.arctan2(outer[:, 1], outer[:, 0])
        radii = np.hypot(outer[:, 0], outer[:, 1])
        order = np.argsort(angles, kind="stable")
        turned, far = np.broadcast_arrays(np.asarray(turn, float), np.asarray(reach, float))
        angle = np.deg2rad(8 - 104 * turned)
        radius = np.interp(angle, angles[order], radii[order]) * far
        return np.stack([hub[0] + radius * np.cos(angle), hub[1] + radius * np.sin(angle)], -1)


def wing(species: str, part: str, rng: np.random.Generator) -> Wing:
    """Return the wing of one individual: ``part`` is ``fore`` or ``hind``."""
    leading, trailing = (np.array(edge) for edge in _OUTLINES[f"{species}-{part}"])
    stretch = 1 + 0.025 * rng.standard_normal(2)
    for edge in (leading, trailing):
        edge[1:-1] += 0.0035 * rng.standard_normal(edge[1:-1].shape)
        edge *= stretch
    trailing[-1] = leading[-1]
    trailing[0] = leading[0]
    return Wing(_by_arc_length(smooth(leading)), _by_arc_length(smooth(trailing)))


def fore_veins(fore: Wing) -> list[FloatArray]:
    """Return the forewing's veins as polylines."""
    upper = fore.across(np.linspace(0.02, 0.5, 7), np.linspace(0.8, 0.74, 7))
    lower = fore.across(np.linspace(0.02, 0.44, 7), np.linspace(0.6, 0.42, 7))
    veins = [upper, lower, np.stack([upper[-1], (upper[-1] + lower[-1]) / 2 - 0.012, lower[-1]])]
    for i, (share, end) in enumerate(
        zip((0.0, 0.2, 0.4, 0.62, 0.82, 1.0), (0.95, 0.87, 0.79, 0.71, 0.63, 0.55), strict=True)
    ):
        start = upper[-1] * (1 - share) + lower[-1] * share
        veins.append(_bow(start, fore.across(end, 0.0), 0.012 * (2.5 - i) / 2.5))
    for start, end in ((4, 0.46), (2, 0.34)):
        veins.append(_bow(lower[start], fore.across(end, 0.0), -0.02))
    for at, end in ((4, 0.72), (6, 0.86), (6, 0.96)):
        veins.append(_bow(upper[at], fore.across(end, 0.985), 0.015))
    return veins


def hind_veins(hind: Wing) -> list[FloatArray]:
    """Return the hindwing's veins as polylines."""
    veins = [_bow(hind.around(0.3, 0.02), hind.around(t, 1.0), 0.012) for t in (0.02, 0.97)]
    starts = (0.16, 0.24, 0.33, 0.43, 0.54, 0.66)
    ends = (0.13, 0.25, 0.38, 0.51, 0.64, 0.78)
    cell = hind.around(np.array(starts), np.array([0.42, 0.47, 0.5, 0.5, 0.46, 0.4]))
    veins.append(smooth(cell, steps=3))
    veins.extend(_bow(cell[i], hind.around(end, 1.0), 0.008) for i, end in enumerate(ends))
    veins.extend(_bow(hind.around(0.3, 0.0), cell[i], 0.01) for i in (0, len(cell) - 1))
    return veins


def _bow(start: FloatArray, end: FloatArray, bend: float) -> FloatArray:
    run = end - start
    t = np.linspace(0.0, 1.0, 7)[:, None]
    return start + run * t + np.array([-run[1], run[0]]) * (4 * bend * t * (1 - t))
