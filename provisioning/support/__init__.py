"""Support: requests about hubs, answers, and the clocks that the agreement's response times set."""
