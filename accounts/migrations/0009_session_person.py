import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("accounts", "0008_picture_bytes")]

    operations = [
        # The column stays as it is; it has the type and the index of a foreign key already.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.RemoveField("session", "person_id"),
                migrations.AddField(
                    "session",
                    "person",
                    models.ForeignKey(
                        db_constraint=False,
                        editable=False,
                        null=True,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ]
        )
    ]
