"""The WebSocket, its long-polling fallback, and the session checks of both."""
