"""Speech without a provider: a small recogniser and a small voice, both for English."""
