"""URLs and actions of billing's admin pages."""

from django.urls import reverse


def url(name, *arguments):
    return reverse(f"admin:billing_{name}", args=arguments)


def post_act(client, path, action, rows, **fields):
    body = {"action": action, "_selected_action": [str(row.pk) for row in rows], "asked": "yes"}
    return client.post(path, body | fields)
