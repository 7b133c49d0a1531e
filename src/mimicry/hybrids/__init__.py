"""Hybrid detection: predictions, reference data, metrics and the scoring programs."""
