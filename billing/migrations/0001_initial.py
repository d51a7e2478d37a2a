"""Creates billing's tables, and the triggers with which the database enforces their invariants."""

import django.db.models.deletion
import uuid
from django.db import migrations, models


NEVER_CHANGED = ["ledgerentry", "price", "usage", "signupclaim", "auditrun"]
NEVER_DELETED = [*NEVER_CHANGED, "hold", "purse"]

# (name, event, condition that must not hold, error message). The conditions are the same SQL on both
# databases; NEW and OLD are the rows.
RULES = [
    (
        "purse_begins_empty",
        "BEFORE INSERT ON billing_purse",
        "NEW.balance_micro_usd <> 0 OR NEW.held_micro_usd <> 0 OR NEW.entries <> 0",
        "a purse begins empty",
    ),
    (
        "purse_is_its_last_entry",
        "BEFORE UPDATE ON billing_purse",
        """NEW.person_id <> OLD.person_id
        OR ((NEW.balance_micro_usd <> OLD.balance_micro_usd OR NEW.entries <> OLD.entries)
            AND NOT EXISTS (
                SELECT 1 FROM billing_ledgerentry
                WHERE person_id = NEW.person_id AND number = NEW.entries
                AND NEW.entries = OLD.entries + 1
                AND balance_after_micro_usd = NEW.balance_micro_usd))""",
        "the balance of a purse is that of its last entry",
    ),
    (
        "purse_holds_what_is_held",
        "BEFORE UPDATE ON billing_purse",
        """NEW.held_micro_usd <> OLD.held_micro_usd AND NEW.held_micro_usd <> (
            SELECT COALESCE(SUM(amount_micro_usd), 0) FROM billing_hold
            WHERE person_id = NEW.person_id AND state = 'open')""",
        "what a purse has held is the sum of its open holds",
    ),
    (
        "purse_holds_no_more_than_it_has",
        "BEFORE UPDATE ON billing_purse",
        """NEW.held_micro_usd > OLD.held_micro_usd
        AND NEW.held_micro_usd > NEW.balance_micro_usd""",
        "not enough credit",
    ),
    (
        "hold_begins_open",
        "BEFORE INSERT ON billing_hold",
        "NEW.state <> 'open' OR NEW.charged_micro_usd <> 0",
        "a hold begins open, with nothing charged",
    ),
    (
        "hold_is_only_used_up",
        "BEFORE UPDATE ON billing_hold",
        """OLD.state <> 'open' OR NEW.key <> OLD.key OR NEW.person_id <> OLD.person_id
        OR NEW.charged_micro_usd < OLD.charged_micro_usd
        OR (NEW.charged_micro_usd > OLD.charged_micro_usd AND
            NEW.charged_micro_usd - OLD.charged_micro_usd
            > OLD.amount_micro_usd - NEW.amount_micro_usd)""",
        "a closed hold is never changed, and no more is charged than was held",
    ),
    (
        "entry_follows",
        "BEFORE INSERT ON billing_ledgerentry",
        """NOT EXISTS (
            SELECT 1 FROM billing_purse
            WHERE person_id = NEW.person_id AND entries = NEW.number - 1
            AND balance_micro_usd = NEW.balance_after_micro_usd - NEW.amount_micro_usd)""",
        "an entry follows from the one before it",
    ),
    (
        "entry_charges_what_was_held",
        "BEFORE INSERT ON billing_ledgerentry",
        """NEW.kind = 'charge' AND NOT EXISTS (
            SELECT 1 FROM billing_hold
            WHERE id = NEW.hold_id AND person_id = NEW.person_id
            AND charged_micro_usd >= -NEW.amount_micro_usd + (
                SELECT COALESCE(SUM(-amount_micro_usd), 0) FROM billing_ledgerentry
                WHERE hold_id = NEW.hold_id))""",
        "a charge is drawn from a hold",
    ),
    *(
        (f"{table}_is_not_changed", f"BEFORE UPDATE ON billing_{table}", "", "never changed")
        for table in NEVER_CHANGED
    ),
    *(
        (f"{table}_is_not_deleted", f"BEFORE DELETE ON billing_{table}", "", "never deleted")
        for table in NEVER_DELETED
    ),
]
# (name, event, statement) of the triggers that maintain the sums of a purse.
SUMS = [
    (
        "entry_changes_the_balance",
        "AFTER INSERT ON billing_ledgerentry",
        """UPDATE billing_purse
        SET balance_micro_usd = NEW.balance_after_micro_usd, entries = NEW.number
        WHERE person_id = NEW.person_id""",
    ),
    (
        "hold_is_held",
        "AFTER INSERT ON billing_hold",
        """UPDATE billing_purse SET held_micro_usd = held_micro_usd + NEW.amount_micro_usd
        WHERE person_id = NEW.person_id""",
    ),
    (
        "hold_is_changed",
        "AFTER UPDATE ON billing_hold",
        """UPDATE billing_purse
        SET held_micro_usd = held_micro_usd + NEW.amount_micro_usd - OLD.amount_micro_usd
        WHERE person_id = NEW.person_id""",
    ),
]


def _sqlite():
    for name, when, condition, message in RULES:
        where = f"WHEN {condition}" if condition else ""
        yield (
            f"CREATE TRIGGER billing_{name} {when} FOR EACH ROW {where} "
            f"BEGIN SELECT RAISE(ABORT, 'billing: {message}'); END"
        )
    for name, when, statement in SUMS:
        yield f"CREATE TRIGGER billing_{name} {when} FOR EACH ROW BEGIN {statement}; END"


def _postgresql():
    for name, when, condition, message in RULES:
        given_back = "OLD" if "DELETE" in when else "NEW"
        yield f"""
            CREATE FUNCTION billing_{name}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
              IF {condition or "true"} THEN
                RAISE EXCEPTION 'billing: {message}' USING ERRCODE = 'check_violation';
              END IF;
              RETURN {given_back};
            END $$
        """
        yield _postgresql_trigger(name, when)
    for name, when, statement in SUMS:
        yield f"""
            CREATE FUNCTION billing_{name}() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN {statement}; RETURN NULL; END $$
        """
        yield _postgresql_trigger(name, when)


def _postgresql_trigger(name, when):
    return f"CREATE TRIGGER billing_{name} {when} FOR EACH ROW EXECUTE FUNCTION billing_{name}()"


def make_triggers(apps, schema_editor):
    statements = {"sqlite": _sqlite, "postgresql": _postgresql}[schema_editor.connection.vendor]
    for statement in statements():
        schema_editor.execute(statement)


def drop_triggers(apps, schema_editor):
    for name, when, *_ in [*RULES, *SUMS]:
        if schema_editor.connection.vendor == "sqlite":
            schema_editor.execute(f"DROP TRIGGER IF EXISTS billing_{name}")
        else:
            table = when.rpartition(" ")[2]
            schema_editor.execute(f"DROP TRIGGER IF EXISTS billing_{name} ON {table}")
            schema_editor.execute(f"DROP FUNCTION IF EXISTS billing_{name}()")


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='SignUpClaim',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('address_hash', models.CharField(max_length=64, unique=True)),
                ('at', models.DateTimeField(auto_now_add=True)),
            ],
        ),
        migrations.CreateModel(
            name='AuditRun',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('started_at', models.DateTimeField()),
                ('finished_at', models.DateTimeField()),
                ('checked', models.JSONField()),
                ('differences', models.JSONField()),
            ],
            options={
                'indexes': [models.Index(fields=['-finished_at'], name='audit_newest')],
            },
        ),
        migrations.CreateModel(
            name='Price',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('model', models.CharField(max_length=200)),
                ('version', models.PositiveIntegerField()),
                ('valid_from', models.DateTimeField()),
                ('source', models.CharField(choices=[('openrouter', "OpenRouter's list"), ('genai-prices', 'the table of genai-prices'), ('staff', 'staff')], max_length=16)),
                ('staff_id', models.UUIDField(blank=True, null=True)),
                ('input_micro_usd', models.BigIntegerField()),
                ('output_micro_usd', models.BigIntegerField()),
                ('cached_input_micro_usd', models.BigIntegerField(blank=True, null=True)),
                ('reasoning_micro_usd', models.BigIntegerField(blank=True, null=True)),
                ('image_micro_usd', models.BigIntegerField(blank=True, null=True)),
                ('audio_micro_usd', models.BigIntegerField(blank=True, null=True)),
                ('per_request_micro_usd', models.BigIntegerField(default=0)),
                ('prompt_limit_tokens', models.PositiveBigIntegerField(blank=True, null=True)),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('model', 'version'), name='price_version_once'), models.CheckConstraint(condition=models.Q(('input_micro_usd__gte', 0), ('output_micro_usd__gte', 0), ('per_request_micro_usd__gte', 0), models.Q(('cached_input_micro_usd', None), ('cached_input_micro_usd__gte', 0), _connector='OR'), models.Q(('reasoning_micro_usd', None), ('reasoning_micro_usd__gte', 0), _connector='OR'), models.Q(('image_micro_usd', None), ('image_micro_usd__gte', 0), _connector='OR'), models.Q(('audio_micro_usd', None), ('audio_micro_usd__gte', 0), _connector='OR')), name='price_not_negative')],
            },
        ),
        migrations.CreateModel(
            name='Purse',
            fields=[
                ('person_id', models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ('balance_micro_usd', models.BigIntegerField(default=0)),
                ('held_micro_usd', models.BigIntegerField(default=0)),
                ('entries', models.PositiveBigIntegerField(default=0)),
                ('zero_since', models.DateTimeField(blank=True, null=True)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
            ],
            options={
                'indexes': [models.Index(condition=models.Q(('zero_since__isnull', False)), fields=['zero_since'], name='purse_at_zero')],
                'constraints': [models.CheckConstraint(condition=models.Q(('held_micro_usd__gte', 0)), name='purse_held_not_below_0')],
            },
        ),
        migrations.CreateModel(
            name='Hold',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=100)),
                ('amount_micro_usd', models.BigIntegerField()),
                ('charged_micro_usd', models.BigIntegerField(default=0)),
                ('state', models.CharField(choices=[('open', 'open'), ('closed', 'closed')], default='open', max_length=8)),
                ('model', models.CharField(max_length=200)),
                ('reply_id', models.UUIDField(blank=True, null=True)),
                ('chat_id', models.UUIDField(blank=True, null=True)),
                ('attempt', models.PositiveIntegerField(default=0)),
                ('created_at', models.DateTimeField(auto_now_add=True)),
                ('updated_at', models.DateTimeField(auto_now=True)),
                ('price', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='billing.price')),
                ('purse', models.ForeignKey(db_column='person_id', on_delete=django.db.models.deletion.PROTECT, related_name='holds', to='billing.purse')),
            ],
        ),
        migrations.CreateModel(
            name='Usage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(max_length=200, unique=True)),
                ('person_id', models.UUIDField()),
                ('purpose', models.CharField(choices=[('answer', 'an answer'), ('title', 'the title of a chat')], max_length=8)),
                ('chat_id', models.UUIDField(blank=True, null=True)),
                ('reply_id', models.UUIDField(blank=True, null=True)),
                ('attempt', models.PositiveIntegerField(default=0)),
                ('model', models.CharField(max_length=200)),
                ('at', models.DateTimeField(auto_now_add=True)),
                ('day', models.DateField()),
                ('prompt_tokens', models.BigIntegerField()),
                ('completion_tokens', models.BigIntegerField()),
                ('cached_tokens', models.BigIntegerField(default=0)),
                ('reasoning_tokens', models.BigIntegerField(default=0)),
                ('estimated', models.BooleanField(default=False)),
                ('cost_micro_usd', models.BigIntegerField()),
                ('cost_by_provider', models.BooleanField(default=False)),
                ('charged_micro_usd', models.BigIntegerField()),
                ('free', models.CharField(blank=True, choices=[('local', 'a local model'), ('own_key', "the person's own key"), ('house', 'the operator pays')], max_length=8)),
                ('price', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='usage', to='billing.price')),
            ],
            options={
                'verbose_name_plural': 'usage',
            },
        ),
        migrations.CreateModel(
            name='LedgerEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveBigIntegerField()),
                ('kind', models.CharField(choices=[('signup_credit', 'Sign-up credit'), ('guest_budget', 'Guest budget'), ('top_up', 'Top-up'), ('fee', 'Top-up fee'), ('free_credit', 'Free credit'), ('charge', 'Charge'), ('refund', 'Refund'), ('dispute', 'Payment disputed'), ('dispute_won', 'Dispute won'), ('adjustment', 'Adjustment')], max_length=16)),
                ('amount_micro_usd', models.BigIntegerField()),
                ('balance_after_micro_usd', models.BigIntegerField()),
                ('key', models.CharField(max_length=200, unique=True)),
                ('at', models.DateTimeField(auto_now_add=True)),
                ('reason', models.CharField(blank=True, max_length=500)),
                ('staff_id', models.UUIDField(blank=True, null=True)),
                ('reply_id', models.UUIDField(blank=True, null=True)),
                ('chat_id', models.UUIDField(blank=True, null=True)),
                ('top_up_id', models.UUIDField(blank=True, null=True)),
                ('hold', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='charges', to='billing.hold')),
                ('price', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='charges', to='billing.price')),
                ('purse', models.ForeignKey(db_column='person_id', on_delete=django.db.models.deletion.PROTECT, related_name='ledger', to='billing.purse')),
            ],
            options={
                'verbose_name_plural': 'ledger entries',
                'indexes': [models.Index(fields=['reply_id'], name='ledger_of_reply'), models.Index(fields=['-at'], name='ledger_newest')],
                'constraints': [models.UniqueConstraint(fields=('purse', 'number'), name='ledger_number_once'), models.CheckConstraint(condition=models.Q(('amount_micro_usd', 0), _negated=True), name='ledger_amount_not_0'), models.CheckConstraint(condition=models.Q(models.Q(('kind__in', ['signup_credit', 'guest_budget', 'top_up', 'free_credit', 'dispute_won']), _negated=True), ('amount_micro_usd__gt', 0), _connector='OR'), name='ledger_kind_gives'), models.CheckConstraint(condition=models.Q(models.Q(('kind__in', ['fee', 'charge', 'dispute']), _negated=True), ('amount_micro_usd__lt', 0), _connector='OR'), name='ledger_kind_takes'), models.CheckConstraint(condition=models.Q(models.Q(('kind', 'charge'), _negated=True), models.Q(('hold__isnull', False), ('price__isnull', False)), _connector='OR'), name='ledger_charge_has_hold_and_price'), models.CheckConstraint(condition=models.Q(models.Q(('kind', 'adjustment'), _negated=True), models.Q(('reason', ''), _negated=True), _connector='OR'), name='ledger_adjustment_has_reason')],
            },
        ),
        migrations.AddIndex(
            model_name='hold',
            index=models.Index(condition=models.Q(('state', 'open')), fields=['purse'], name='hold_open_of_purse'),
        ),
        migrations.AddIndex(
            model_name='hold',
            index=models.Index(condition=models.Q(('state', 'open')), fields=['updated_at'], name='hold_open_oldest'),
        ),
        migrations.AddIndex(
            model_name='hold',
            index=models.Index(fields=['reply_id'], name='hold_of_reply'),
        ),
        migrations.AddConstraint(
            model_name='hold',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'open')), fields=('key',), name='hold_open_once_for_a_key'),
        ),
        migrations.AddConstraint(
            model_name='hold',
            constraint=models.CheckConstraint(condition=models.Q(('amount_micro_usd__gte', 0), ('charged_micro_usd__gte', 0)), name='hold_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='hold',
            constraint=models.CheckConstraint(condition=models.Q(('state', 'open'), ('amount_micro_usd', 0), _connector='OR'), name='hold_closed_is_empty'),
        ),
        migrations.AddIndex(
            model_name='usage',
            index=models.Index(fields=['person_id', 'day'], name='usage_of_person'),
        ),
        migrations.AddIndex(
            model_name='usage',
            index=models.Index(fields=['chat_id'], name='usage_of_chat'),
        ),
        migrations.AddIndex(
            model_name='usage',
            index=models.Index(fields=['reply_id'], name='usage_of_reply'),
        ),
        migrations.AddIndex(
            model_name='usage',
            index=models.Index(fields=['day', 'model'], name='usage_by_day'),
        ),
        migrations.AddConstraint(
            model_name='usage',
            constraint=models.CheckConstraint(condition=models.Q(('prompt_tokens__gte', 0), ('completion_tokens__gte', 0), ('cached_tokens__gte', 0), ('reasoning_tokens__gte', 0)), name='usage_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='usage',
            constraint=models.CheckConstraint(condition=models.Q(('charged_micro_usd__gte', 0), ('charged_micro_usd__lte', models.F('cost_micro_usd'))), name='usage_charged_at_most_cost'),
        ),
        migrations.AddConstraint(
            model_name='usage',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('free', ''), ('price__isnull', False)), models.Q(models.Q(('free', ''), _negated=True), ('charged_micro_usd', 0)), _connector='OR'), name='usage_charged_or_free'),
        ),
        # Has no table; carries the permissions of staff about money.
        migrations.CreateModel(
            name='Books',
            fields=[('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID'))],
            options={
                'verbose_name': 'books and reports',
                'verbose_name_plural': 'books and reports',
                'permissions': [
                    ('give_credit', 'Can give credit, up to a limit'),
                    ('adjust_credit', 'Can give and take any amount of credit'),
                    ('refund_payment', 'Can refund payments'),
                    ('set_price', 'Can set prices'),
                    ('export_billing', 'Can download lists of billing'),
                ],
                'managed': False,
                'default_permissions': ('view',),
            },
        ),
        migrations.RunPython(make_triggers, drop_triggers),
    ]
