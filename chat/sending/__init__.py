"""Placing and stopping replies, and the outbox that delivers their events to the log."""
