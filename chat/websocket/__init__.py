"""The WebSocket, its long-polling stand-in, and the sessions they belong to."""
