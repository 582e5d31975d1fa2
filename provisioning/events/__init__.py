"""Events: booking, moving and cancelling them, getting the hub ready, and an operator's emergency."""
