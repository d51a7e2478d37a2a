"""What a person sets: language, appearance, name and picture."""
