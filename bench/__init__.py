"""Measurements as ratios to a raw floor in the same run; never a timed test."""
