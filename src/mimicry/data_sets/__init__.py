"""An organiser's own data sets: built from photographs, and audited for cheap clues."""
