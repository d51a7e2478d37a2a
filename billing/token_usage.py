"""The usage of one call of a model: the type shared by readers of responses, holds, prices, the
events of the log and the rows of the database.
"""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from billing.models import Usage


@dataclass(frozen=True, slots=True)
class TokenUsage:
    """Tokens read from or written to a cache, and of pictures that were read, are included in
    `prompt_tokens`; reasoning tokens, and those of pictures and sound that were made, in
    `completion_tokens`. None: the provider did not report the count.

    `cost_micro_usd` is the provider's own figure. `estimated`: the provider reported no usage, so
    the tokens were counted here.
    """

    prompt_tokens: int
    completion_tokens: int
    cached_tokens: int | None = None
    reasoning_tokens: int | None = None
    cost_micro_usd: int | None = None
    estimated: bool = False
    cache_write_tokens: int | None = None
    # The tokens of sound in the prompt, where the provider counts them apart.
    audio_tokens: int | None = None
    # How long a sound was that was written down, in milliseconds.
    sound_ms: int | None = None
    # The tokens of pictures that the model made, and of those that it read.
    image_tokens: int | None = None
    image_input_tokens: int | None = None
    # How many characters of a text were read aloud.
    characters: int | None = None
    # The tokens of sound that the model made.
    audio_output_tokens: int | None = None

    def with_sound(self, sound_ms: int) -> "TokenUsage":
        return replace(self, sound_ms=sound_ms)

    def bounded(self) -> "TokenUsage":
        """The usage as charged and stored: counts that were not reported are 0, and neither cached
        nor reasoning tokens exceed the count that includes them."""
        return replace(
            self,
            cached_tokens=min(max(self.cached_tokens or 0, 0), self.prompt_tokens),
            reasoning_tokens=min(max(self.reasoning_tokens or 0, 0), self.completion_tokens),
            cache_write_tokens=self.cache_write_tokens or 0,
            audio_tokens=min(max(self.audio_tokens or 0, 0), self.prompt_tokens),
            sound_ms=self.sound_ms or 0,
            image_tokens=min(max(self.image_tokens or 0, 0), self.completion_tokens),
            image_input_tokens=min(max(self.image_input_tokens or 0, 0), self.prompt_tokens),
            characters=self.characters or 0,
            audio_output_tokens=min(max(self.audio_output_tokens or 0, 0), self.completion_tokens),
        )

    def to_event(self) -> dict[str, int | bool]:
        """The `usage` of an event; the cost is in a separate field of the event."""
        known = {"prompt_tokens": self.prompt_tokens, "completion_tokens": self.completion_tokens}
        if self.reasoning_tokens is not None:
            known["reasoning_tokens"] = self.reasoning_tokens
        if self.cached_tokens is not None:
            known["cached_tokens"] = self.cached_tokens
        if self.image_tokens:
            known["image_tokens"] = self.image_tokens
        if self.audio_output_tokens:
            known["audio_output_tokens"] = self.audio_output_tokens
        return known | ({"estimated": True} if self.estimated else {})

    def to_bill(self) -> dict[str, Any]:
        """Part of the `bill` of an event. Zeros are written, except for cache writes, sound and
        pictures; a cost is written only if the provider reported one."""
        usage = self.bounded()
        bill: dict[str, Any] = {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "cached_tokens": usage.cached_tokens,
            "reasoning_tokens": usage.reasoning_tokens,
            "estimated": usage.estimated,
        }
        if usage.cache_write_tokens:
            bill["cache_write_tokens"] = usage.cache_write_tokens
        for name in ("audio_tokens", "image_tokens", "image_input_tokens", "audio_output_tokens"):
            if count := getattr(usage, name):
                bill[name] = count
        if usage.cost_micro_usd is not None:
            bill["cost_micro_usd"] = usage.cost_micro_usd
        return bill

    @classmethod
    def from_bill(cls, bill: dict[str, Any]) -> "TokenUsage | None":
        """The usage in a bill; None if it has no tokens, because the attempt costs nothing."""
        if "prompt_tokens" not in bill:
            return None
        return cls(
            bill["prompt_tokens"],
            bill["completion_tokens"],
            bill["cached_tokens"],
            bill["reasoning_tokens"],
            bill.get("cost_micro_usd"),
            bill["estimated"],
            bill.get("cache_write_tokens", 0),
            audio_tokens=bill.get("audio_tokens", 0),
            sound_ms=0,
            image_tokens=bill.get("image_tokens", 0),
            image_input_tokens=bill.get("image_input_tokens", 0),
            characters=0,
            audio_output_tokens=bill.get("audio_output_tokens", 0),
        )

    @classmethod
    def from_row(cls, row: "Usage") -> "TokenUsage":
        """The usage in a row, without a cost that was calculated from a price."""
        return cls(
            row.prompt_tokens,
            row.completion_tokens,
            row.cached_tokens,
            row.reasoning_tokens,
            row.cost_micro_usd if row.cost_by_provider else None,
            row.estimated,
            row.cache_write_tokens or 0,
            audio_tokens=row.audio_tokens or 0,
            sound_ms=row.sound_ms or 0,
            image_tokens=row.image_tokens or 0,
            image_input_tokens=row.image_input_tokens or 0,
            characters=row.characters or 0,
            audio_output_tokens=row.audio_output_tokens or 0,
        )
