"""Reading the projects of a person. Sync throughout."""

import uuid

from django.db.models import QuerySet

from accounts.models import User
from chat.errors import ProjectNotFound
from chat.models import Project


def projects_of(person: User) -> QuerySet[Project]:
    return Project.objects.filter(owner=person).order_by("name", "id")


def projects_json(person: User) -> list[dict[str, str]]:
    """The ids and names, as pages have them."""
    rows = projects_of(person).values_list("id", "name")
    return [{"id": str(project_id), "name": name} for project_id, name in rows]


def own_project(owner: User, project_id: uuid.UUID) -> Project:
    """Raises ProjectNotFound, also for somebody else's."""
    return _found(Project.objects.filter(id=project_id, owner=owner).first())


def lock_own_project(owner: User, project_id: uuid.UUID) -> Project:
    """Like `own_project`, locked to the end of the transaction. Lock a project before its chats:
    deleting one locks both, in this order."""
    projects = Project.objects.select_for_update()
    return _found(projects.filter(id=project_id, owner=owner).first())


def _found(project: Project | None) -> Project:
    if project is None:
        raise ProjectNotFound
    return project
