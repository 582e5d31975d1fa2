"""PostgreSQL, Valkey and the demo's outside world, started from wheels; only the launcher imports Django."""
