from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ChatConfig(AppConfig):
    name = "chat"
    verbose_name = _("Chats")

    def ready(self) -> None:
        from accounts import personal_data_registry, storage
        from accounts.suspension import on_suspended
        from billing import audit, chat_titles
        from chat import drafts
        from chat.charging import reconcile
        from chat.chats import titles_of
        from chat.files.personal_data import personal_data as files
        from chat.llm import checks as model_checks  # noqa: F401 (registers its check)
        from chat.llm.model_choices import choices
        from chat.personal_data.handlers import personal_data
        from chat.projects.personal_data import personal_data as projects
        from chat.sending.stops import stop_all_of
        from chat.storage import bytes_of_drafts, bytes_of_projects

        if reconcile.check not in audit.checks:
            audit.checks.append(reconcile.check)
        if stop_all_of not in on_suspended:
            on_suspended.append(stop_all_of)
        personal_data_registry.register(files)
        personal_data_registry.register(personal_data)
        personal_data_registry.register(drafts.personal_data)
        personal_data_registry.register(projects)
        if choices not in personal_data_registry.model_choices:
            personal_data_registry.model_choices.append(choices)
        storage.outside_log["drafts"] = bytes_of_drafts()
        storage.outside_log["projects"] = bytes_of_projects()
        chat_titles.register(titles_of)
