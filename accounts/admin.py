from django.contrib import admin
from django.http import HttpRequest

from accounts.models import User


@admin.register(User)
class UserAdmin(admin.ModelAdmin[User]):
    list_display = ["id", "email", "name", "is_guest", "is_active", "is_staff", "created_at"]
    list_filter = ["is_guest", "is_staff", "is_active"]
    search_fields = ["id", "email", "name"]
    list_per_page = 50
    ordering = ["-created_at"]
    date_hierarchy = "created_at"
    readonly_fields = ["id", "stream", "is_guest", "created_at", "last_login"]
    filter_horizontal = ["groups", "user_permissions"]
    fieldsets = [
        (None, {"fields": ["id", "email", "name", "is_guest", "stream"]}),
        (
            "Access",
            {"fields": ["is_active", "is_staff", "is_superuser", "groups", "user_permissions"]},
        ),
        ("Dates", {"fields": ["created_at", "last_login"]}),
    ]

    def has_add_permission(self, request: HttpRequest) -> bool:
        # People make their own accounts; staff is made with `manage.py createsuperuser`.
        return False
