"""Moving a hub to another cluster: wanted and cancelled by staff, done by a job that survives being killed anywhere."""
