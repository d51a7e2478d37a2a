"""Tools: what models may call, and their calls as durable steps of an answer."""
