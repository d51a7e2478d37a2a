import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any, ClassVar

from allauth.usersessions.models import UserSession
from django import forms
from django.contrib import admin, messages
from django.contrib.admin.helpers import ACTION_CHECKBOX_NAME
from django.db.models import F, ManyToManyField, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django_stubs_ext import StrOrPromise

from accounts.admin import person_page
from accounts.admin.read_only import ReadOnlyAdmin
from accounts.models import SecurityEvent, User
from accounts.personal_data.deletion_request import cancel, hasten
from accounts.sessions import end_all
from accounts.suspension import restore, suspend

MAX_REASON_CHARS = 500
# A larger selection is likely a mistake.
MAX_PEOPLE_AT_ONCE = 100
# By action: (title, its effect on the people, message with the number of people done).
ACTS: dict[Any, tuple[StrOrPromise, StrOrPromise, StrOrPromise]] = {
    suspend: (
        _("Suspend people"),
        _(
            "Their sessions end, their pages are cut off and what is being answered for them is "
            "stopped. They cannot sign in until they are restored."
        ),
        _("%(done)d of %(people)d people suspended."),
    ),
    restore: (
        _("Restore people"),
        _("They can sign in again. Their chats are as they were."),
        _("%(done)d of %(people)d people restored."),
    ),
    end_all: (
        _("End sessions"),
        _("They are signed out on all their devices, and may sign in again. Guests have none."),
        _("Sessions of %(done)d of %(people)d people ended."),
    ),
    cancel: (
        _("Call deletions off"),
        _("Those who asked to be deleted keep their accounts, and are told by mail."),
        _("%(done)d of %(people)d people kept."),
    ),
    hasten: (
        _("Delete at once"),
        _(
            "Those who asked to be deleted are deleted now, whatever is left of their grace. "
            "Nobody can bring them back. Those who did not ask stay."
        ),
        _("%(done)d of %(people)d people deleted in the next minutes."),
    ),
}


ACCESS_FIELDS: list[Any] = ["is_staff", "is_superuser", "groups", "user_permissions"]


class ReasonForm(forms.Form):
    reason = forms.CharField(
        max_length=MAX_REASON_CHARS,
        help_text=_("Kept in the record of each person, which they can see."),
        widget=forms.TextInput(attrs={"class": "vTextField", "autofocus": True}),
    )


@admin.register(User)
class UserAdmin(admin.ModelAdmin[User]):
    list_display = [
        "person",
        "name",
        "is_allowed",
        "last_seen",
        "created_at",
        "is_staff",
        "deletion_due_at",
    ]
    list_filter = [
        "is_guest",
        "is_active",
        ("deletion_due_at", admin.EmptyFieldListFilter),
        "is_staff",
        "last_login",
    ]
    search_fields = ["id", "email", "name"]
    list_per_page = 50
    show_full_result_count = False
    ordering = ["-created_at"]
    date_hierarchy = "created_at"
    change_form_template = "admin/accounts/user/change_form.html"
    actions = [
        *("suspend_people", "restore_people", "end_sessions"),
        *("cancel_deletions", "hasten_deletions"),
    ]
    readonly_fields = [
        "id",
        # Mail goes to this address and signing in depends on it, so only its owner may change it,
        # after reauthenticating.
        "email",
        "stream",
        "is_guest",
        "created_at",
        "last_login",
        "last_seen",
        "is_active",
        "suspended_at",
        "suspended_reason",
        "deletion_due_at",
        "deletion_begun_at",
    ]
    # Django's two lists side by side have names that screen readers may not use.
    formfield_overrides: ClassVar = {
        ManyToManyField: {"widget": forms.CheckboxSelectMultiple},
    }
    fieldsets = [
        (None, {"fields": ["email", "name", "id", "stream"]}),
        (_("Suspension"), {"fields": ["is_active", "suspended_at", "suspended_reason"]}),
        (_("Deletion asked for"), {"fields": ["deletion_due_at", "deletion_begun_at"]}),
        (_("Access"), {"fields": ACCESS_FIELDS}),
        (_("Dates"), {"fields": ["created_at", "last_login", "last_seen"]}),
    ]

    # Filled by the apps above with add_column.
    more_columns: ClassVar[list[Callable[[User], Any]]] = []
    more_annotations: ClassVar[list[Callable[[QuerySet[User]], QuerySet[User]]]] = []

    @classmethod
    def add_column(
        cls,
        column: Callable[[User], Any],
        annotate: Callable[[QuerySet[User]], QuerySet[User]],
    ) -> None:
        """Add a column, and the annotation of the rows that it needs. For the apps above."""
        cls.more_columns.append(column)
        cls.more_annotations.append(annotate)

    @classmethod
    def add_action(cls, action: Any, permission: str, may: Callable[[HttpRequest], bool]) -> None:
        """Add an action on people for operators for whom `may` is true. For the apps above."""
        cls.actions = [*cls.actions, action]
        setattr(cls, f"has_{permission}_permission", staticmethod(may))

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        first = self.list_display.index("last_seen")
        return [*self.list_display[:first], *self.more_columns, *self.list_display[first:]]

    def get_queryset(self, request: HttpRequest) -> QuerySet[User]:
        people = _with_last_seen(super().get_queryset(request))
        for annotate in self.more_annotations:
            people = annotate(people)
        return people

    def get_readonly_fields(self, request: HttpRequest, obj: User | None = None) -> list[str]:
        """Only superusers change permissions; other staff could grant themselves everything."""
        is_superuser = isinstance(request.user, User) and request.user.is_superuser
        return self.readonly_fields + ([] if is_superuser else ACCESS_FIELDS)

    def has_change_permission(self, request: HttpRequest, obj: User | None = None) -> bool:
        if obj is not None and obj.is_superuser and not request.user.is_superuser:
            return False
        return super().has_change_permission(request, obj)

    @admin.display(description=_("stream"))
    def stream(self, person: User) -> str:
        return person.stream

    @admin.display(description=_("last seen"), ordering="seen_at")
    def last_seen(self, person: User) -> datetime | None:
        seen_at: datetime | None = person.seen_at  # type: ignore[attr-defined]
        return seen_at

    @admin.display(description=_("person"), ordering="email")
    def person(self, person: User) -> str:
        return person.email or gettext("Guest %(id)s") % {"id": str(person.id)[:8]}

    @admin.display(description=_("active"), boolean=True, ordering="is_active")
    def is_allowed(self, person: User) -> bool:
        """Ticked unless suspended."""
        return person.is_active

    def render_change_form(self, request: HttpRequest, context: Any, *args: Any, **kw: Any) -> Any:
        if isinstance(person := context.get("original"), User):
            context |= person_page.context(request, person, self.get_actions(request))
            context |= {"checkbox": ACTION_CHECKBOX_NAME, "from_page": person_page.FROM_PAGE}
        return super().render_change_form(request, context, *args, **kw)

    def response_action(
        self, request: HttpRequest, queryset: QuerySet[User], *args: Any
    ) -> HttpResponse | None:
        response = super().response_action(request, queryset, *args)
        return person_page.back_to_page(request, response)

    def has_add_permission(self, request: HttpRequest) -> bool:
        # People sign up themselves; `manage.py createsuperuser` creates staff.
        return False

    def has_delete_permission(self, request: HttpRequest, obj: object = None) -> bool:
        # Deleting the row alone would leave log, files and sessions behind; people are erased by
        # accounts/personal_data/erase.py.
        return False

    @admin.action(description=_("Suspend…"), permissions=["change"])
    def suspend_people(self, request: HttpRequest, people: QuerySet[User]) -> HttpResponse | None:
        return self._with_reason(request, people, "suspend_people", suspend)

    @admin.action(description=_("Restore…"), permissions=["change"])
    def restore_people(self, request: HttpRequest, people: QuerySet[User]) -> HttpResponse | None:
        return self._with_reason(request, people, "restore_people", restore)

    @admin.action(description=_("End sessions…"), permissions=["change"])
    def end_sessions(self, request: HttpRequest, people: QuerySet[User]) -> HttpResponse | None:
        return self._with_reason(request, people, "end_sessions", end_all)

    @admin.action(description=_("Call deletion off…"), permissions=["change"])
    def cancel_deletions(self, request: HttpRequest, people: QuerySet[User]) -> HttpResponse | None:
        return self._with_reason(request, people, "cancel_deletions", cancel)

    @admin.action(description=_("Delete those who asked at once…"), permissions=["change"])
    def hasten_deletions(self, request: HttpRequest, people: QuerySet[User]) -> HttpResponse | None:
        return self._with_reason(request, people, "hasten_deletions", hasten)

    def _with_reason(
        self, request: HttpRequest, people: QuerySet[User], action: str, act: Any
    ) -> HttpResponse | None:
        """Ask for a reason and a confirmation, then call `act` for each person."""
        operator = request.user
        assert isinstance(operator, User)
        chosen = list(people.order_by("created_at")[: MAX_PEOPLE_AT_ONCE + 1])
        if refused := _refusal(act, chosen, operator):
            self.message_user(request, refused, messages.ERROR)
            return None
        form = ReasonForm(request.POST if "confirmed" in request.POST else None)
        if form.is_valid():
            done = sum(act(person, operator, form.cleaned_data["reason"]) for person in chosen)
            text = str(ACTS[act][2]) % {"done": done, "people": len(chosen)}
            self.message_user(request, text, messages.SUCCESS)
            return None
        context = {
            **self.admin_site.each_context(request),
            "title": ACTS[act][0],
            "meaning": ACTS[act][1],
            "people": chosen,
            "form": form,
            "action": action,
            "checkbox": ACTION_CHECKBOX_NAME,
            "opts": self.model._meta,
            **person_page.origin(request, "accounts_user"),
        }
        return TemplateResponse(request, "admin/accounts/user/confirm.html", context)


def _with_last_seen(people: QuerySet[User]) -> QuerySet[User]:
    """Annotate when people were last seen, from their sessions. The sessions of guests are not
    listed, so for guests this is `last_login`."""
    of_person = UserSession.objects.filter(user=OuterRef("pk")).order_by("-last_seen_at")
    newest = Subquery(of_person.values("last_seen_at")[:1])
    return people.annotate(seen_at=Coalesce(newest, F("last_login")))


def _refusal(act: Any, chosen: list[User], operator: User) -> str:
    if len(chosen) > MAX_PEOPLE_AT_ONCE:
        return gettext("Choose at most %(most)d people at once.") % {"most": MAX_PEOPLE_AT_ONCE}
    if act is suspend and operator in chosen:
        return gettext("You cannot suspend yourself.")
    if not operator.is_superuser and any(person.is_superuser for person in chosen):
        return gettext("Only a superuser may do this to a superuser.")
    return ""


@admin.register(SecurityEvent)
class SecurityEventAdmin(ReadOnlyAdmin):
    """Read-only; triggers of the database refuse changes too."""

    list_display = ["at", "kind", "id_of_person", "email", "address", "note", "operator_id"]
    list_filter = ["kind", "at"]
    search_fields = ["person__id", "person__email", "address", "note"]
    date_hierarchy = "at"
    ordering = ["-at", "-id"]

    def get_queryset(self, request: HttpRequest) -> QuerySet[SecurityEvent]:
        # Not list_select_related: its inner join would hide events of people who were deleted.
        return super().get_queryset(request).prefetch_related("person")

    @admin.display(description=_("person id"), ordering="person_id")
    def id_of_person(self, event: SecurityEvent) -> uuid.UUID | None:
        return event.person_id

    @admin.display(description=_("email"))
    def email(self, event: SecurityEvent) -> str:
        try:
            return str(event.person)
        except User.DoesNotExist:
            return gettext("deleted")
