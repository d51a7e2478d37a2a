"""What this app keeps of a person, as accounts/personal_data_registry.py wants to know it."""

from accounts.personal_data_registry import PersonalData
from chat.personal_data.erase import erase_person
from chat.personal_data.export import export, export_parts
from chat.personal_data.merge_guest import hand_over, in_use

personal_data = PersonalData(
    "chat", hand_over, erase_person, in_use, export=export, export_parts=export_parts
)
