"""Workers: they claim replies that are owed and write them into the log."""
