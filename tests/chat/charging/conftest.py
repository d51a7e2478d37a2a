import pytest


@pytest.fixture
def holdfast(holdfast, settings):
    """Settings that lead to the fake OpenRouter, whose models have prices."""
    settings.OPENROUTER_API_KEY = "sk-or"
    settings.OPENROUTER_BASE_URL = holdfast.openrouter_url
    return holdfast
