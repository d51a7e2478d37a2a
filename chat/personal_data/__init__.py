"""The chat app's part of exporting, merging and erasing a person's data."""
