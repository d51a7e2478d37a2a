"""Orders: messages, regenerations, stops, and the outbox that tells the log."""
