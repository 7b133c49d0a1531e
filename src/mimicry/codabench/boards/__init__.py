"""The leaderboard of runs on this machine: who stands where, how sure that is, how it is shown.

``board`` ranks as the platform does, from runs that ``found_runs`` reads; ``standings`` says
how sure places are (``comparing`` and its kin); ``text``, ``data`` and ``page`` show it.
"""
