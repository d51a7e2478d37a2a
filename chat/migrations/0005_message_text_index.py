"""Create the search index of chat_messagetext on each database, and make every chat due."""

from django.db import migrations
from django.utils import timezone

SQLITE = [
    """
    CREATE VIRTUAL TABLE chat_messagetext_words USING fts5(
      owner_id, words, content='chat_messagetext', content_rowid='id',
      tokenize='unicode61 remove_diacritics 0', prefix='2 3'
    )
    """,
    """
    CREATE TRIGGER chat_messagetext_words_insert AFTER INSERT ON chat_messagetext BEGIN
      INSERT INTO chat_messagetext_words (rowid, owner_id, words)
      VALUES (NEW.id, NEW.owner_id, NEW.words);
    END
    """,
    """
    CREATE TRIGGER chat_messagetext_words_delete AFTER DELETE ON chat_messagetext BEGIN
      INSERT INTO chat_messagetext_words (chat_messagetext_words, rowid, owner_id, words)
      VALUES ('delete', OLD.id, OLD.owner_id, OLD.words);
    END
    """,
    """
    CREATE TRIGGER chat_messagetext_words_update AFTER UPDATE ON chat_messagetext BEGIN
      INSERT INTO chat_messagetext_words (chat_messagetext_words, rowid, owner_id, words)
      VALUES ('delete', OLD.id, OLD.owner_id, OLD.words);
      INSERT INTO chat_messagetext_words (rowid, owner_id, words)
      VALUES (NEW.id, NEW.owner_id, NEW.words);
    END
    """,
]
SQLITE_BACK = [
    "DROP TRIGGER IF EXISTS chat_messagetext_words_insert",
    "DROP TRIGGER IF EXISTS chat_messagetext_words_delete",
    "DROP TRIGGER IF EXISTS chat_messagetext_words_update",
    "DROP TABLE IF EXISTS chat_messagetext_words",
]
# `simple`: the words are already normalized, and a chat may mix languages.
POSTGRESQL = [
    """
    ALTER TABLE chat_messagetext ADD COLUMN word_index tsvector
    GENERATED ALWAYS AS (to_tsvector('simple'::regconfig, words)) STORED
    """,
    "CREATE INDEX chat_messagetext_words ON chat_messagetext USING gin (word_index)",
]
POSTGRESQL_BACK = [
    "DROP INDEX IF EXISTS chat_messagetext_words",
    "ALTER TABLE chat_messagetext DROP COLUMN IF EXISTS word_index",
]


def make(apps, schema_editor):
    _run(schema_editor, SQLITE, POSTGRESQL)


def drop(apps, schema_editor):
    _run(schema_editor, SQLITE_BACK, POSTGRESQL_BACK)


def _run(schema_editor, sqlite, postgresql):
    by_vendor = {"sqlite": sqlite, "postgresql": postgresql}
    for statement in by_vendor[schema_editor.connection.vendor]:
        schema_editor.execute(statement)


def make_all_due(apps, schema_editor):
    """Make all chats due, so that workers index their existing messages from the log."""
    apps.get_model("chat", "Chat").objects.update(search_due_at=timezone.now())


class Migration(migrations.Migration):
    dependencies = [("chat", "0004_finding")]
    operations = [
        migrations.RunPython(make, drop),
        migrations.RunPython(make_all_due, migrations.RunPython.noop),
    ]
