"""The HTTP/1.1 transport of the model client."""
