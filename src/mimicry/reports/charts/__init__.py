"""Charts of results: calm, exact, and the same numbers as text below.

Every function returns a ``figure``, but for `sparkline`. Numbers must be finite
(`ValueError`); without rows the figure says so. Roles are those of the style sheet; other
words look plain.
"""

from mimicry.reports.charts.funnel import Bubble, funnel_chart
from mimicry.reports.charts.heat_map import heat_map
from mimicry.reports.charts.plots import Curve, Steps, curve_chart, step_chart
from mimicry.reports.charts.rows import Bar, Interval, bar_chart, interval_chart, sparkline

__all__ = [
    "Bar",
    "Bubble",
    "Curve",
    "Interval",
    "Steps",
    "bar_chart",
    "curve_chart",
    "funnel_chart",
    "heat_map",
    "interval_chart",
    "sparkline",
    "step_chart",
]
