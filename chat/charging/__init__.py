"""What a reply costs: its price, its hold, its charge, and reconciling after a crash."""
