"""The HTTP side of a web process: limits, headers, middleware, health."""
