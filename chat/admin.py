from collections.abc import Iterable

from django.contrib import admin
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.admin import person_page
from accounts.admin.people import UserAdmin
from accounts.admin.person_page import Figure, Link, list_of
from accounts.admin.read_only import ReadOnlyAdmin
from accounts.models import User
from chat.models import Chat, Reply


@admin.register(Chat)
class ChatAdmin(ReadOnlyAdmin):
    list_display = ["id", "title", "owner", "model", "updated_at", "deleted_at"]
    list_select_related = ["owner"]
    search_fields = ["id", "title", "owner__email", "owner__id"]
    date_hierarchy = "updated_at"


@admin.register(Reply)
class ReplyAdmin(ReadOnlyAdmin):
    list_display = ["id", "chat", "model", "state", "error_code", "attempts"]
    list_display += ["created_at", "finished_at"]
    list_select_related = ["chat"]
    list_filter = ["state", "error_code", "model"]
    search_fields = ["id", "chat__id", "chat__owner__email"]
    date_hierarchy = "created_at"


@admin.display(description=_("chats"), ordering="number_of_chats")
def number_of_chats(person: User) -> int:
    count: int = person.number_of_chats  # type: ignore[attr-defined]
    return count


def _with_number_of_chats(people: QuerySet[User]) -> QuerySet[User]:
    # A subquery, because a join would multiply with the joins of a search.
    counted = (
        Chat.objects.filter(owner=OuterRef("pk"), deleted_at=None)
        .order_by()
        .values("owner")
        .annotate(number=Count("pk"))
        .values("number")
    )
    number = Coalesce(Subquery(counted, output_field=IntegerField()), 0)
    return people.annotate(number_of_chats=number)


def _section(request: HttpRequest, person: User) -> Iterable[Figure | Link]:
    chats = Chat.objects.filter(owner=person, deleted_at=None).count()
    yield Figure(_("Chats"), f"{chats:,}")
    if request.user.has_perm("chat.view_chat"):
        yield list_of("chat_chat", person.pk, _("Chats"))


person_page.add(section=_section)
UserAdmin.add_column(number_of_chats, _with_number_of_chats)
