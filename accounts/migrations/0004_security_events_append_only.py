"""Make the record of security events append-only for every client of the database.

An event may be deleted only once its person is gone: erasing a person erases their events too.
"""

from django.db import migrations

SQLITE = [
    """
    CREATE TRIGGER accounts_securityevent_no_update
    BEFORE UPDATE ON accounts_securityevent
    BEGIN SELECT RAISE(ABORT, 'security events are never changed'); END
    """,
    """
    CREATE TRIGGER accounts_securityevent_no_delete
    BEFORE DELETE ON accounts_securityevent
    WHEN EXISTS (SELECT 1 FROM accounts_user WHERE id = OLD.person_id)
    BEGIN SELECT RAISE(ABORT, 'security events of a person are never deleted'); END
    """,
]
SQLITE_BACK = [
    "DROP TRIGGER IF EXISTS accounts_securityevent_no_update",
    "DROP TRIGGER IF EXISTS accounts_securityevent_no_delete",
]
POSTGRESQL = [
    """
    CREATE FUNCTION accounts_securityevent_append_only() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF TG_OP = 'UPDATE' THEN
        RAISE EXCEPTION 'security events are never changed' USING ERRCODE = 'check_violation';
      END IF;
      IF EXISTS (SELECT 1 FROM accounts_user WHERE id = OLD.person_id) THEN
        RAISE EXCEPTION 'security events of a person are never deleted'
          USING ERRCODE = 'check_violation';
      END IF;
      RETURN OLD;
    END $$
    """,
    """
    CREATE TRIGGER accounts_securityevent_append_only
    BEFORE UPDATE OR DELETE ON accounts_securityevent
    FOR EACH ROW EXECUTE FUNCTION accounts_securityevent_append_only()
    """,
]
POSTGRESQL_BACK = [
    "DROP TRIGGER IF EXISTS accounts_securityevent_append_only ON accounts_securityevent",
    "DROP FUNCTION IF EXISTS accounts_securityevent_append_only()",
]


def make(apps, schema_editor):
    _run(schema_editor, SQLITE, POSTGRESQL)


def drop(apps, schema_editor):
    _run(schema_editor, SQLITE_BACK, POSTGRESQL_BACK)


def _run(schema_editor, sqlite, postgresql):
    by_vendor = {"sqlite": sqlite, "postgresql": postgresql}
    for statement in by_vendor[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_protection")]
    operations = [migrations.RunPython(make, drop)]
