"""Has answers read aloud, by a voice of the operator's or the person's provider."""
