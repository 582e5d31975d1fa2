"""Outside systems that the app speaks with."""
