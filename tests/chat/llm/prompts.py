"""Prompts of one message."""

from chat.llm.prompt import Prompt


def prompt_of(text):
    return Prompt(({"role": "user", "content": text},), 0, 7)
