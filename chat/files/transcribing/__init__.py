"""Has the speech of attached sound written down, by a model of the operator's or the person's."""
