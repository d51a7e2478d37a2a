"""Tools that need no server: no call waits, uses a network or changes anything."""
