"""Ingestion: runs a participant's model over images and writes its predictions."""
