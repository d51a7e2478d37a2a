"""Reading a model's streamed response: from bytes to text and reasoning."""
