"""Template tags of the portal's look."""
