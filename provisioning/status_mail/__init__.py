"""The status page by mail: subscribing with a confirmed address, being told, leaving."""
