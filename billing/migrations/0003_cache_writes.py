from django.db import migrations, models


class Migration(migrations.Migration):
    # Nullable and without defaults, so that SQLite adds the columns without rebuilding the tables
    # and losing their triggers.

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
