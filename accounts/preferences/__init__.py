"""People's settings: name, picture, appearance, language and how they chat."""
