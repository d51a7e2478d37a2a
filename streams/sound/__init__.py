"""Sound that is made while somebody hears it."""
