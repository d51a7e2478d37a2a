"""Where passkeys work."""

from ipaddress import ip_address

from django.conf import settings
from django.http import HttpRequest
from django.http.request import split_domain_port


def are_possible(request: HttpRequest) -> bool:
    """Whether browsers allow passkeys at the address of this request: they want a name, not a
    number, and https, except on the machine itself."""
    name, _ = split_domain_port(request.get_host())
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        is_secure = request.is_secure() or settings.ACCOUNT_DEFAULT_HTTP_PROTOCOL == "https"
        return is_secure or name == "localhost" or name.endswith(".localhost")
    return False
