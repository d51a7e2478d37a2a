"""Requests about projects."""

import uuid

CALLS = {"content_type": "application/json"}


async def add(person, name="Garden", instructions="Answer as a gardener.", *, project=None):
    """Add a project; returns its id."""
    body = {"id": project or str(uuid.uuid4()), "name": name, "instructions": instructions}
    response = await person.post("/api/projects", **body)
    assert response.status_code == 201, response.content
    return response.json()["project"]["id"]


async def change(person, project, **fields):
    return await person.client.patch(f"/api/projects/{project}", fields, **CALLS)


async def remove(person, project, query=""):
    return await person.client.delete(f"/api/projects/{project}{query}")


async def move(person, chat, project, query=""):
    """Move a chat into a project; None: out of its project."""
    path = f"/api/chats/{chat}/project{query}"
    if project is None:
        return await person.client.delete(path)
    return await person.client.put(path, {"project": project}, **CALLS)


async def names(person):
    response = await person.client.get("/api/projects")
    assert response.status_code == 200, response.content
    return [row["name"] for row in response.json()["projects"]]


async def chats_in(person, project, query=""):
    response = await person.client.get(f"/api/chats?project={project}{query}")
    assert response.status_code == 200, response.content
    return [row["id"] for row in response.json()["chats"]]


async def row_of(person, chat):
    return (await person.client.get(f"/api/chats/{chat}")).json()["chat"]


def code_of(response):
    return response.status_code, response.json()["error"]["code"]
