"""The formats of dates and times on English pages, such as `date:"DATE_FORMAT"` in templates.

Other languages use Django's formats, or have a module beside this one.
"""

DATE_FORMAT = "j F Y"
SHORT_DATE_FORMAT = "j M Y"
TIME_FORMAT = "H:i"
DATETIME_FORMAT = "j F Y, H:i"
SHORT_DATETIME_FORMAT = "j M Y, H:i"
