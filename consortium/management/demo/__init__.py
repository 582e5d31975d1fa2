"""The demonstration: the main job, told in steps, each done by the code that a person's click would call."""
