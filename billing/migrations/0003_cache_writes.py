from django.db import migrations, models


class Migration(migrations.Migration):
    # Both nullable and without a default: SQLite then adds the column to the table that is there,
    # and its triggers stay.

    dependencies = [
        ('billing', '0002_top_ups'),
    ]

    operations = [
        migrations.AddField(
            model_name='price',
            name='cache_write_micro_usd',
            field=models.PositiveBigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='usage',
            name='cache_write_tokens',
            field=models.PositiveBigIntegerField(blank=True, null=True),
        ),
    ]
