"""Make the shared fixtures known to every ingestion test."""

from ingestion_helpers import images, ingest

__all__ = ["images", "ingest"]
