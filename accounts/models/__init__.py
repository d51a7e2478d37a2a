"""The models of people and their accounts. Import each model from here."""

from accounts.models.people import Export, GuestJoin, Preferences, Session, User, UserManager
from accounts.models.provider_keys import ProviderKey
from accounts.models.push import PushSubscription
from accounts.models.saved_prompts import SavedPrompt
from accounts.models.security_events import SecurityEvent

__all__ = [
    "Export",
    "GuestJoin",
    "Preferences",
    "ProviderKey",
    "PushSubscription",
    "SavedPrompt",
    "SecurityEvent",
    "Session",
    "User",
    "UserManager",
]
