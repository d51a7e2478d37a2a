"""Add triggers that refuse statements which the triggers of 0001 let through:

- TRUNCATE, which fires no row triggers
- INSERT OR REPLACE on SQLite, which deletes the replaced row without firing its trigger
- entries of an unknown kind, to which no rule about signs applies
- a second sign-up credit or guest budget of a person, under any key
"""

from django.db import migrations, models

KINDS = (
    "signup_credit",
    "guest_budget",
    "top_up",
    "fee",
    "free_credit",
    "charge",
    "refund",
    "dispute",
    "dispute_won",
    "adjustment",
)
# By table, the condition under which a new row would replace an existing one.
SAME = {
    "auditrun": "id = NEW.id",
    "hold": "id = NEW.id OR (key = NEW.key AND state = 'open')",
    "ledgerentry": "id = NEW.id OR key = NEW.key "
    "OR (person_id = NEW.person_id AND number = NEW.number)",
    "price": "id = NEW.id OR (model = NEW.model AND version = NEW.version)",
    "purse": "person_id = NEW.person_id",
    "signupclaim": "id = NEW.id OR address_hash = NEW.address_hash",
    "topup": "id = NEW.id OR session_id = NEW.session_id",
    "usage": "id = NEW.id OR key = NEW.key",
}
UNKNOWN_KIND = f"NEW.kind NOT IN {KINDS}"


def _sqlite():
    rules = [("entry_is_of_a_kind", "ledgerentry", UNKNOWN_KIND, "no such kind of entry")]
    for table, same in SAME.items():
        there = f"EXISTS (SELECT 1 FROM billing_{table} WHERE {same})"
        rules.append((f"{table}_is_not_replaced", table, there, "it is there already"))
    for name, table, wrong, said in rules:
        yield (
            f"CREATE TRIGGER billing_{name} BEFORE INSERT ON billing_{table} FOR EACH ROW "
            f"WHEN {wrong} BEGIN SELECT RAISE(ABORT, 'billing: {said}'); END"
        )


def _postgresql():
    yield _function("entry_is_of_a_kind", UNKNOWN_KIND, "no such kind of entry")
    yield (
        "CREATE TRIGGER billing_entry_is_of_a_kind BEFORE INSERT ON billing_ledgerentry "
        "FOR EACH ROW EXECUTE FUNCTION billing_entry_is_of_a_kind()"
    )
    yield _function("is_not_emptied", "true", "never emptied")
    for table in SAME:
        yield (
            f"CREATE TRIGGER billing_{table}_is_not_emptied BEFORE TRUNCATE ON billing_{table} "
            "FOR EACH STATEMENT EXECUTE FUNCTION billing_is_not_emptied()"
        )


def _function(name, wrong, said):
    return f"""
        CREATE FUNCTION billing_{name}() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          IF {wrong} THEN
            RAISE EXCEPTION 'billing: {said}' USING ERRCODE = 'check_violation';
          END IF;
          RETURN NEW;
        END $$
    """


def make_triggers(apps, schema_editor):
    statements = {"sqlite": _sqlite, "postgresql": _postgresql}[schema_editor.connection.vendor]
    for statement in statements():
        schema_editor.execute(statement)


def drop_triggers(apps, schema_editor):
    if schema_editor.connection.vendor == "sqlite":
        for name in ("entry_is_of_a_kind", *(f"{table}_is_not_replaced" for table in SAME)):
            schema_editor.execute(f"DROP TRIGGER IF EXISTS billing_{name}")
        return
    # Drops the triggers that call them as well.
    for name in ("entry_is_of_a_kind", "is_not_emptied"):
        schema_editor.execute(f"DROP FUNCTION IF EXISTS billing_{name}() CASCADE")


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0003_cache_writes"),
    ]

    operations = [
        migrations.AddConstraint(
            model_name="ledgerentry",
            constraint=models.UniqueConstraint(
                condition=models.Q(("kind__in", ["signup_credit", "guest_budget"])),
                fields=("purse", "kind"),
                name="ledger_given_once",
            ),
        ),
        migrations.RunPython(make_triggers, drop_triggers),
    ]
