"""The promised level: what is known of a hub's service, days and months of it, and what is said and asked about it."""
