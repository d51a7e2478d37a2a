"""A person's data: exported, and erased with the account."""
