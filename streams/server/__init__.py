"""The Redis server: the embedded one, and how durable and how full a server is."""
