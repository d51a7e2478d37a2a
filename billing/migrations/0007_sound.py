from django.db import migrations, models

# SQLite stores texts of any length. There, changing the type would rebuild the table, which has
# triggers.
WIDER = "ALTER TABLE billing_usage ALTER COLUMN purpose TYPE varchar(16)"


def widen(apps, schema_editor):
    if schema_editor.connection.vendor == 'postgresql':
        schema_editor.execute(WIDER)


class Migration(migrations.Migration):
    # The new columns are nullable and without defaults, for the same reason.

    dependencies = [
        ('billing', '0006_audit_requests'),
    ]

    operations = [
        migrations.AddField(
            model_name='price',
            name='sound_micro_usd',
            field=models.PositiveBigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='usage',
            name='audio_tokens',
            field=models.PositiveBigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='usage',
            name='sound_ms',
            field=models.PositiveBigIntegerField(blank=True, null=True),
        ),
        migrations.AlterField(
            model_name='price',
            name='source',
            field=models.CharField(
                choices=[
                    ('openrouter', "OpenRouter's list"),
                    ('genai-prices', 'the table of genai-prices'),
                    ('staff', 'staff'),
                    ('settings', 'the settings'),
                ],
                max_length=16,
            ),
        ),
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(widen, migrations.RunPython.noop)],
            state_operations=[
                migrations.AlterField(
                    model_name='usage',
                    name='purpose',
                    field=models.CharField(
                        choices=[
                            ('answer', 'an answer'),
                            ('title', 'the title of a chat'),
                            ('transcription', 'a transcript of sound'),
                        ],
                        max_length=16,
                    ),
                ),
            ],
        ),
    ]
