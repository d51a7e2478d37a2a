from django.contrib import admin
from django.http import HttpRequest

from chat.models import Chat, Reply


class ReadOnlyAdmin(admin.ModelAdmin):  # type: ignore[type-arg]
    """Rows that follow from the log: changing them by hand would only make them untrue."""

    list_per_page = 50
    show_full_result_count = False

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        return False


@admin.register(Chat)
class ChatAdmin(ReadOnlyAdmin):
    list_display = ["id", "title", "owner", "model", "updated_at", "deleted_at"]
    list_select_related = ["owner"]
    search_fields = ["id", "title", "owner__email", "owner__id"]
    date_hierarchy = "updated_at"


@admin.register(Reply)
class ReplyAdmin(ReadOnlyAdmin):
    list_display = ["id", "chat", "model", "state", "attempts", "created_at", "finished_at"]
    list_select_related = ["chat"]
    list_filter = ["state", "model"]
    search_fields = ["id", "chat__id", "chat__owner__email"]
    date_hierarchy = "created_at"
