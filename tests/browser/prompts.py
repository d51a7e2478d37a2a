"""Directives for the fake model, and the prompts that it has received."""

QUICK = "[[tokens=12]]"
SLOW = "[[rate=25&tokens=100]]"


def prompts_of(fake_model, mark: str) -> list[str]:
    """Returns the prompts that contain `mark`, without requests for titles."""
    asked = [one["prompt"] for one in fake_model.requests if mark in one["prompt"]]
    return [prompt for prompt in asked if prompt.startswith("[[")]
