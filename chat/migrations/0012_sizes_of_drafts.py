from typing import Any

import orjson
from django.db import migrations


def measure(apps: Any, schema_editor: Any) -> None:
    """Measure drafts as Writing.size_bytes in chat/drafts.py does."""
    drafts = apps.get_model("chat", "Draft").objects
    for draft in drafts.exclude(text="", pastes=[]).iterator(chunk_size=10):
        size = len(orjson.dumps([draft.text, draft.pastes]))
        drafts.filter(pk=draft.pk).update(size_bytes=size)


class Migration(migrations.Migration):
    dependencies = [("chat", "0011_sizes")]

    operations = [migrations.RunPython(measure, migrations.RunPython.noop)]
