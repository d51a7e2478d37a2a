"""Prompts of one message, and of pairs of role and text."""

from chat.llm.prompt import Prompt, PromptMessage, build_prompt


def prompt_of(text):
    return Prompt(({"role": "user", "content": text},), 0, 7)


async def prompt_from(pairs, model, partial=""):
    return await build_prompt([PromptMessage(*pair) for pair in pairs], model, partial=partial)
