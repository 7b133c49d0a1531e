"""Generated butterflies, so that everything runs without anybody's data."""
