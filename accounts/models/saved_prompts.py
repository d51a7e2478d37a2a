import uuid
from typing import ClassVar

from django.db import models


class SavedPrompt(models.Model):
    """A text that a person keeps to use again: see accounts/saved_prompts/store.py."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    owner = models.ForeignKey(
        "accounts.User", on_delete=models.CASCADE, related_name="saved_prompts"
    )
    title = models.CharField(max_length=80)
    text = models.TextField()
    # Title and text in bytes, which count towards the owner's storage (accounts/storage.py).
    size_bytes = models.PositiveIntegerField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        indexes: ClassVar = [models.Index(fields=["owner", "title"], name="saved_prompt_of_owner")]

    def __str__(self) -> str:
        return self.title
