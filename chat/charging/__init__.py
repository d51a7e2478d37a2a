"""The cost of a reply: its price, its hold, its charge, and reconciling after a crash."""
