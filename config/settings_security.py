"""Settings: cookies, headers and what pages may load."""

from csp.constants import NONE, SELF

from config.environment import HTTPS, env
from config.settings_accounts import SIGN_IN_ORIGINS
from config.settings_money import CHECKOUT_ORIGINS

# --- Security ---
SESSION_ENGINE = "accounts.session_store"
# Browsers accept a cookie with this prefix from this host alone, so a page on a sibling domain can
# set neither a session nor a guest.
COOKIE_PREFIX = "__Host-" if HTTPS else ""
SESSION_COOKIE_NAME = f"{COOKIE_PREFIX}sessionid"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_SECURE = HTTPS
SESSION_COOKIE_AGE = 400 * 24 * 3_600  # The browsers' maximum: guests lose their chats with it.
CSRF_COOKIE_NAME = f"{COOKIE_PREFIX}csrftoken"
CSRF_COOKIE_HTTPONLY = False  # The page reads it and sends it back as X-CSRFToken.
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SECURE = HTTPS
CSRF_FAILURE_VIEW = "chat.web.error_pages.csrf_failure"
SECURE_SSL_REDIRECT = HTTPS
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$"]
SECURE_HSTS_SECONDS = env.int("HOLDFAST_HSTS_SECONDS", 365 * 24 * 3_600) if HTTPS else 0
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
# Notices end with their session. In a cookie, a notice such as "alice@example.org is confirmed."
# would be shown to the next person who uses the browser.
MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF, "data:", "blob:"],
        "font-src": [SELF],
        "media-src": [SELF, "blob:"],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "worker-src": [SELF],
        # Previews (chat/web/frame_views.py). They cannot lead anywhere else.
        "frame-src": [SELF],
        # Browsers also apply it to redirects after a form: to sign-in providers and to Checkout.
        "form-action": [SELF, *SIGN_IN_ORIGINS, *CHECKOUT_ORIGINS],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "report-uri": "/csp-reports",
    }
}
SILENCED_SYSTEM_CHECKS = [
    # These checks look for Django's class names in MIDDLEWARE, which has subclasses;
    # tests/config/web/test_middleware.py asserts them.
    "security.W001",
    "security.W002",
    "security.W003",
    # HSTS for all subdomains and preloading are promises that only the operator can make.
    "security.W005",
    "security.W021",
]
