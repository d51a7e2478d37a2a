"""Readers that `environs` lacks: secrets, generated keys, the address of the embedded Redis."""

import base64
import hashlib
import os
import secrets
import tempfile
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

from django.core.exceptions import ImproperlyConfigured
from environs import Env


def env_secret(env: Env, name: str, default: str = "") -> str:
    """The value of NAME, or the content of the file in NAME_FILE without its last line break.

    Raises ImproperlyConfigured if both are set, or the file cannot be read.
    """
    value: str = env.str(name, "")
    file_name: str = env.str(f"{name}_FILE", "")
    if value and file_name:
        raise ImproperlyConfigured(f"Both {name} and {name}_FILE are set: keep one of them.")
    if not file_name:
        return value or default
    try:
        return Path(file_name).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ImproperlyConfigured(f"{name}_FILE cannot be read: {error}") from error


def generated_secret(path: Path) -> str:
    """The secret in the file `path` (mode 0600), which the first call makes.

    Two processes that start at once get the same secret: the complete file appears by a link that
    only one of them can make.
    """
    try:
        return path.read_text(encoding="ascii").strip() or _make_secret(path)
    except FileNotFoundError:
        return _make_secret(path)
    except (OSError, UnicodeDecodeError) as error:
        raise _unusable(path, error) from error


def _make_secret(path: Path) -> str:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".secret-")  # mkstemp makes it 0600
        fresh = Path(name)
        try:
            with os.fdopen(handle, "w", encoding="ascii") as file:
                file.write(secrets.token_urlsafe(50))
                file.flush()
                os.fsync(file.fileno())
            try:
                os.link(fresh, path)
            except FileExistsError:
                if not path.stat().st_size:  # An empty file holds no secret.
                    fresh.replace(path)
        finally:
            fresh.unlink(missing_ok=True)
        return path.read_text(encoding="ascii").strip()
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: Exception) -> ImproperlyConfigured:
    return ImproperlyConfigured(
        f"The data folder {path.parent} cannot be used: {error}. "
        "Give this user the right to write there, or choose another folder with HOLDFAST_DATA."
    )


# The version of the generated key. Keys in the setting have versions from 1.
GENERATED_KEY_VERSION = 0


def key_encryption_keys(value: str, path: Path) -> dict[int, bytes]:
    """The keys of HOLDFAST_KEY_ENCRYPTION_KEYS ("2:base64,1:base64") by version, in order.

    The first encrypts, all decrypt. Without any, a key is generated and stored in `path`; it still
    decrypts when other keys are set later. Raises ImproperlyConfigured.
    """
    if not value.strip():
        return {GENERATED_KEY_VERSION: _key_from_secret(generated_secret(path))}
    keys = _parse_keys(value)
    if path.exists():
        keys[GENERATED_KEY_VERSION] = _key_from_secret(generated_secret(path))
    return keys


def _parse_keys(value: str) -> dict[int, bytes]:
    """Parse the keys. Raises ImproperlyConfigured; its message does not contain the value."""
    keys: dict[int, bytes] = {}
    for number, part in enumerate(value.split(","), 1):
        version, _, encoded = part.strip().partition(":")
        problem = ""
        try:
            key = base64.b64decode(encoded.strip().translate(_FROM_URL_SAFE), validate=True)
        except ValueError:
            key = b""
        if not (version.isascii() and version.isdigit() and 1 <= int(version) <= 32_000):
            problem = f"entry {number} must begin with its version, a number from 1, and a colon"
        elif len(key) != 32:
            problem = f"the key of version {version} must be 32 random bytes in base64"
        elif int(version) in keys:
            problem = f"version {version} occurs twice"
        if problem:
            raise ImproperlyConfigured(
                f"HOLDFAST_KEY_ENCRYPTION_KEYS must look like 2:base64,1:base64, but {problem}. "
                "Make a key with: openssl rand -base64 32"
            )
        keys[int(version)] = key
    return keys


_FROM_URL_SAFE = str.maketrans("-_", "+/")


def _key_from_secret(secret: str) -> bytes:
    return hashlib.sha256(b"holdfast provider keys:" + secret.encode()).digest()


def data_path(value: str) -> Path:
    """HOLDFAST_DATA with all symbolic links resolved. Raises ImproperlyConfigured."""
    path = Path(value).resolve()
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise ImproperlyConfigured(
            f"The path of the data folder is not UTF-8: {os.fsencode(path)!r}. "
            "Rename it, or choose another folder with HOLDFAST_DATA."
        ) from error
    return path


def embedded_redis_url(data_dir: Path) -> str:
    """The address of this data folder's Redis, which streams/server/embedded.py starts."""
    return f"unix://{quote(str(data_dir / 'redis' / 'redis.sock'))}"


def trusted_proxies(value: str) -> int | list[IPv4Network | IPv6Network]:
    """The number of proxies before Holdfast ("1"), or their networks ("10.0.0.0/8, ::1").

    Raises ImproperlyConfigured.
    """
    if value.strip().isdecimal():
        return int(value)
    try:
        return [ip_network(part.strip()) for part in value.split(",")]
    except ValueError as error:
        raise ImproperlyConfigured(
            "HOLDFAST_TRUSTED_PROXIES must be a number or networks such as "
            f"10.0.0.0/8,fd00::/8, but is {value!r}."
        ) from error


def email_settings(url: str) -> dict[str, object]:
    """Django's EMAIL_* settings of smtp://, smtp+tls:// (STARTTLS) or smtp+ssl:// addresses."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if parts.scheme not in {"smtp", "smtp+tls", "smtp+ssl"} or not parts.hostname:
        # Not the value itself: it may hold a password.
        raise ImproperlyConfigured(
            "EMAIL_URL must look like smtp+tls://user:password@mail.example.org:587."
        )
    user, password = unquote(parts.username or ""), unquote(parts.password or "")
    if not (user + password).isascii() or not (user + password).isprintable():
        # smtplib cannot send other characters.
        raise ImproperlyConfigured(
            "EMAIL_URL has a user or password with characters outside printable ASCII, which "
            "cannot be sent. Copy them again, each on one line, or choose another password."
        )
    usual = {"smtp": 25, "smtp+tls": 587, "smtp+ssl": 465}
    return {
        "EMAIL_BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": port or usual[parts.scheme],
        "EMAIL_HOST_USER": user,
        "EMAIL_HOST_PASSWORD": password,
        "EMAIL_USE_TLS": parts.scheme == "smtp+tls",
        "EMAIL_USE_SSL": parts.scheme == "smtp+ssl",
    }


def site_of(url: str) -> str:
    """Scheme, host and port of OIDC_ISSUER, to which forms may be sent. Raises
    ImproperlyConfigured."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc or set(url) & set(" ;,'\""):
        raise ImproperlyConfigured(
            f"OIDC_ISSUER must look like https://login.example.org, but is {url!r}."
        )
    return f"{parts.scheme}://{parts.netloc}"


def allauth_rates(*limits: tuple[int, str]) -> str | None:
    """Limits in allauth's notation: (10, "m/ip") becomes "10/m/ip"; 0 means no limit."""
    return ",".join(f"{count}/{per}" for count, per in limits if count) or None


def think_marks(entries: list[str]) -> list[tuple[str, tuple[str, str]]]:
    """HOLDFAST_THINK_MARKS as (glob, (opening, closing)), with "" for a missing mark.

    An entry is `endpoint/name=OPEN CLOSE`, `=CLOSE` alone if the opening mark is in the model's
    template, or `=off`. Raises ImproperlyConfigured.
    """
    parsed = []
    for entry in entries:
        glob, equals, given = entry.strip().partition("=")
        marks = given.split()
        if not glob.strip() or not equals or not 1 <= len(marks) <= 2:
            raise ImproperlyConfigured(
                f"HOLDFAST_THINK_MARKS: {entry.strip()!r} is not endpoint/name=OPEN CLOSE, "
                "endpoint/name=CLOSE or endpoint/name=off."
            )
        if marks == ["off"]:
            marks = ["", ""]
        parsed.append((glob.strip(), ("", marks[0]) if len(marks) == 1 else (marks[0], marks[1])))
    return parsed
