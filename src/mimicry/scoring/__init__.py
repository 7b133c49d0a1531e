"""What every scoring program shares: folders, files, reasons, exit codes, its place."""
