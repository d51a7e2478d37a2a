from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, IntegerField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.admin import home, person_page
from accounts.admin.home import Group
from accounts.admin.people import UserAdmin
from accounts.admin.person_page import Figure, Link, list_of
from accounts.admin.read_only import ReadOnlyAdmin
from accounts.models import User
from billing.admin.reports_pages import DEFAULT_DAYS, RangeForm
from billing.pages import charts
from chat.models import Chat, Rating, Reply
from chat.ratings import RatingCount, count_ratings

# Error codes that the first page names; there are about thirty.
MAX_CODES = 12


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


@admin.register(Rating)
class RatingAdmin(ReadOnlyAdmin):
    """One page that counts the ratings; a single one is nobody's business but its owner's."""

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view(self.counts_view)
        return [path("", view, name="chat_rating_changelist")]

    def counts_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        today = datetime.now(UTC).date()
        defaults = {"first": today - timedelta(days=DEFAULT_DAYS - 1), "last": today}
        form = RangeForm({name: request.GET.get(name) or defaults[name] for name in defaults})
        context = {**self.admin_site.each_context(request), "form": form}
        if form.is_valid():
            counted = count_ratings(form.cleaned_data["first"], form.cleaned_data["last"])
            context |= {"models": list(map(_with_bar, counted[0])), "days": counted[1]}
        context |= {"opts": self.opts, "title": gettext("Ratings of answers")}
        return TemplateResponse(request, "admin/chat/ratings.html", context)


def _with_bar(count: RatingCount) -> tuple[RatingCount, str]:
    return count, charts.share(count.up, count.total)


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


def _answers(request: HttpRequest, midnight: datetime) -> Iterable[Group]:
    """Answers that ended today, and those that failed by their error code."""
    if not request.user.has_perm("chat.view_reply"):
        return
    ended = Reply.objects.filter(finished_at__gte=midnight).order_by()
    counts = ended.values_list("state", "error_code").annotate(number=Count("pk"))
    total, failed = 0, Counter[str]()
    for state, code, number in counts:
        total += number
        if state == Reply.State.FAILED:
            failed[code] += number
    page = reverse("admin:chat_reply_changelist")
    rows = f"{page}?state__exact={Reply.State.FAILED}"
    yield Group(
        _("Answers"),
        [
            Figure(_("Ended"), f"{total:,}", page),
            Figure(_("Failed"), f"{failed.total():,}", rows, is_bad=bool(failed)),
            *(
                Figure(code or _("without a code"), f"{number:,}", f"{rows}&error_code={code}")
                for code, number in failed.most_common(MAX_CODES)
            ),
        ],
    )


home.add(_answers)
person_page.add(section=_section)
UserAdmin.add_column(number_of_chats, _with_number_of_chats)
