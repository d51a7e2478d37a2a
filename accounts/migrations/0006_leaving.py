"""Add the request for deletion, the archive of a person's data, and sessions with a person's id.

The event that records the deletion of an account is never deleted: the triggers are recreated.
"""

import django.db.models.deletion
import uuid
from django.conf import settings
from django.db import migrations, models

SQLITE = [
    "DROP TRIGGER accounts_securityevent_no_delete",
    """
    CREATE TRIGGER accounts_securityevent_no_delete
    BEFORE DELETE ON accounts_securityevent
    WHEN OLD.kind = 'deleted' OR EXISTS (SELECT 1 FROM accounts_user WHERE id = OLD.person_id)
    BEGIN SELECT RAISE(ABORT, 'security events of a person are never deleted'); END
    """,
]
SQLITE_BACK = [
    "DROP TRIGGER accounts_securityevent_no_delete",
    """
    CREATE TRIGGER accounts_securityevent_no_delete
    BEFORE DELETE ON accounts_securityevent
    WHEN EXISTS (SELECT 1 FROM accounts_user WHERE id = OLD.person_id)
    BEGIN SELECT RAISE(ABORT, 'security events of a person are never deleted'); END
    """,
]
FUNCTION = """
    CREATE OR REPLACE FUNCTION accounts_securityevent_append_only() RETURNS trigger
    LANGUAGE plpgsql AS $$
    BEGIN
      IF TG_OP = 'UPDATE' THEN
        RAISE EXCEPTION 'security events are never changed' USING ERRCODE = 'check_violation';
      END IF;
      IF {kept} EXISTS (SELECT 1 FROM accounts_user WHERE id = OLD.person_id) THEN
        RAISE EXCEPTION 'security events of a person are never deleted'
          USING ERRCODE = 'check_violation';
      END IF;
      RETURN OLD;
    END $$
    """
POSTGRESQL = [FUNCTION.format(kept="OLD.kind = 'deleted' OR")]
POSTGRESQL_BACK = [FUNCTION.format(kept="")]


def make(apps, schema_editor):
    _run(schema_editor, SQLITE, POSTGRESQL)


def drop(apps, schema_editor):
    _run(schema_editor, SQLITE_BACK, POSTGRESQL_BACK)


def _run(schema_editor, sqlite, postgresql):
    by_vendor = {"sqlite": sqlite, "postgresql": postgresql}
    for statement in by_vendor[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0005_preferences'),
        ('auth', '0012_alter_user_first_name_max_length'),
    ]

    operations = [
        migrations.CreateModel(
            name='Export',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('state', models.CharField(choices=[('waiting', 'waits for a worker'), ('building', 'being made'), ('ready', 'ready'), ('failed', 'could not be made')], default='waiting', max_length=8)),
                ('attempt', models.PositiveIntegerField(default=0)),
                ('lease_until', models.DateTimeField(blank=True, null=True)),
                ('done', models.PositiveIntegerField(default=0)),
                ('total', models.PositiveIntegerField(default=0)),
                ('size_bytes', models.PositiveBigIntegerField(default=0)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('ready_at', models.DateTimeField(blank=True, null=True)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('told_at', models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.CreateModel(
            name='Session',
            fields=[
                ('session_key', models.CharField(max_length=40, primary_key=True, serialize=False, verbose_name='session key')),
                ('session_data', models.TextField(verbose_name='session data')),
                ('expire_date', models.DateTimeField(db_index=True, verbose_name='expire date')),
                ('person_id', models.UUIDField(db_index=True, editable=False, null=True)),
            ],
            options={
                'verbose_name': 'session',
                'verbose_name_plural': 'sessions',
                'abstract': False,
            },
        ),
        migrations.AddField(
            model_name='user',
            name='deletion_begun_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='user',
            name='deletion_due_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='user',
            name='deletion_told_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name='securityevent',
            name='kind',
            field=models.CharField(choices=[('signed_in', 'Signed in'), ('sign_in_failed', 'Sign-in failed'), ('signed_out', 'Signed out'), ('signed_up', 'Account made'), ('session_revoked', 'Session ended'), ('password_changed', 'Password changed'), ('password_reset', 'Password reset'), ('email_changed', 'Email address changed'), ('second_factor_added', 'Second factor added'), ('second_factor_removed', 'Second factor removed'), ('second_factor_reset', 'Recovery codes renewed'), ('login_connected', 'Sign-in service connected'), ('login_disconnected', 'Sign-in service disconnected'), ('key_added', 'Provider key added'), ('key_removed', 'Provider key removed'), ('suspended', 'Suspended by an operator'), ('restored', 'Restored by an operator'), ('deletion_asked', 'Deletion asked for'), ('deletion_cancelled', 'Deletion called off'), ('deleted', 'Account deleted')], max_length=24),
        ),
        migrations.AddIndex(
            model_name='user',
            index=models.Index(condition=models.Q(('deletion_due_at__isnull', False)), fields=['deletion_due_at'], name='user_leaving'),
        ),
        migrations.AddField(
            model_name='export',
            name='person',
            field=models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='export', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddIndex(
            model_name='export',
            index=models.Index(fields=['state', 'created_at'], name='export_state'),
        ),
        migrations.RunPython(make, drop),
    ]
