"""The WebSocket protocol as Daphne serves it: bounds and flow control."""
