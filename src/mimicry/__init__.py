"""Mimicry: a Codabench bundle on hybrid detection and representational alignment."""

__version__ = "0.1.0"
