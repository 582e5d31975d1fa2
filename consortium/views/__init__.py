"""Pages that need several apps, or none."""
