from django.db import migrations, models


class Migration(migrations.Migration):
    # Nullable and without defaults, so that SQLite adds the columns without rebuilding the tables
    # and losing their triggers.

    dependencies = [
        ('billing', '0009_speech'),
    ]

    operations = [
        migrations.AddField(
            model_name=model,
            name=name,
            field=models.PositiveBigIntegerField(blank=True, null=True),
        )
        for model, name in (
            ('price', 'audio_output_micro_usd'),
            ('usage', 'audio_output_tokens'),
        )
    ]
