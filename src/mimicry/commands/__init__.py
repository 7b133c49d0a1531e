"""The commands of ``mimicry``; each imports what it needs only when it runs."""
