"""Pages that show results; they draw and compute nothing."""
