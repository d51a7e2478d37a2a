from typing import Any

from django.db import migrations
from django.db.models import F


def wait_for_parent(apps: Any, schema_editor: Any) -> None:
    """Set `waits_for` of waiting replies to their parent, for which they waited until now."""
    waiting = apps.get_model("chat", "Reply").objects.filter(finished_at=None, state="waiting")
    waiting.update(waits_for=F("parent"))


class Migration(migrations.Migration):
    dependencies = [("chat", "0007_waits_for")]

    operations = [migrations.RunPython(wait_for_parent, migrations.RunPython.noop)]
