"""How English pages write dates and times: what templates mean by `date:"DATE_FORMAT"`.

Other languages have those that Django knows for them, or a module beside this one.
"""

DATE_FORMAT = "j F Y"
SHORT_DATE_FORMAT = "j M Y"
TIME_FORMAT = "H:i"
DATETIME_FORMAT = "j F Y, H:i"
SHORT_DATETIME_FORMAT = "j M Y, H:i"
