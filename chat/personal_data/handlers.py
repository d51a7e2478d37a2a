"""The chat app's entry in accounts/personal_data_registry.py."""

from accounts.personal_data_registry import Belongings
from chat.personal_data.erase import erase_person
from chat.personal_data.export import export, export_parts
from chat.personal_data.merge_guest import move_chats, recent_owners

belongings = Belongings(
    "chat", move_chats, erase_person, recent_owners, export=export, export_parts=export_parts
)
