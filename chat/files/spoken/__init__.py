"""The sound of answers whose models speak: kept while it comes, heard meanwhile, then stored."""
