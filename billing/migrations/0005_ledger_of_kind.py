from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0004_guards"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="ledgerentry",
            index=models.Index(fields=["purse", "kind"], name="ledger_of_kind"),
        ),
    ]
