from django.db import migrations, models


class Migration(migrations.Migration):
    # The new columns are nullable and without defaults: for others SQLite would rebuild the tables,
    # which have triggers. The type of the purpose stays.

    dependencies = [
        ('billing', '0008_pictures'),
    ]

    operations = [
        migrations.AddField(
            model_name='price',
            name='character_micro_usd',
            field=models.PositiveBigIntegerField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='usage',
            name='characters',
            field=models.PositiveBigIntegerField(blank=True, null=True),
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name='usage',
                    name='purpose',
                    field=models.CharField(
                        choices=[
                            ('answer', 'an answer'),
                            ('title', 'the title of a chat'),
                            ('transcription', 'a transcript of sound'),
                            ('speech', 'an answer read aloud'),
                        ],
                        max_length=16,
                    ),
                ),
            ],
        ),
    ]
