"""The settings of the portal: every value that differs between places comes from the environment, typed and named."""

import zoneinfo
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import django_stubs_ext
import structlog
from django.utils.csp import CSP

from consortium.kernel.configuration import Configuration, origin, positive, postgres, truth, words
from consortium.kernel.secret_links import without_secret_links

# Lets classes such as ModelAdmin name the type of their rows at run time too.
django_stubs_ext.monkeypatch()

# Every process uses PyPI's tzdata: system copies disagree about coming offsets.
zoneinfo.reset_tzpath(to=[])

BASE_DIR = Path(__file__).resolve().parent.parent
_read = Configuration()

PORTAL_HOME = _read.read(Path, "PORTAL_HOME", why="the folder where documents, mail and hubs live")
SECRET_KEY = _read.read(str, "SECRET_KEY", why="signs sessions and tokens; 50 random characters")
FIELD_KEYS = _read.read(words, "FIELD_KEYS", why="Fernet keys, newest first, that wrap stored secrets")
AUDIT_SALT = _read.read(str, "AUDIT_SALT", why="salts the digests in the audit trail")
PUBLIC_URL = _read.read(origin, "PUBLIC_URL", why="the address people reach the portal at, for links in mail")
DEMO = _read.read(truth, "DEMO", default=False, why="marks every page as a demonstration")
DEBUG = _read.read(truth, "DEBUG", default=False, why="shows tracebacks; never in production")
ALLOWED_HOSTS = _read.read(words, "ALLOWED_HOSTS", default=["localhost", "127.0.0.1"], why="host names to answer to")
SAMPLE_INTERVAL_SECONDS = _read.read(
    positive, "SAMPLE_INTERVAL_SECONDS", default=60, why="seconds between meter samples"
)
SAMPLE_RETENTION_MONTHS = _read.read(
    positive,
    "SAMPLE_RETENTION_MONTHS",
    default=13,
    why="whole months for which the meter's samples are kept; 4 at least",
)
WORK_CHECK_INTERVAL_SECONDS = _read.read(
    positive, "WORK_CHECK_INTERVAL_SECONDS", default=300, why="seconds between visits of the synthetic user"
)
STALLED_AFTER_SECONDS = _read.read(
    positive, "STALLED_AFTER_SECONDS", default=60, why="seconds of silence after which work is said to be stalled"
)
HUB_PYTHON = _read.read(
    Path, "HUB_PYTHON", default=BASE_DIR / ".venv-hub/bin/python", why="the interpreter of the local hubs"
)
SIGNING_KEY = _read.read(str, "SIGNING_KEY", why="signs agreements: a private key as PEM, or the path of its file")
SIGNING_CERTIFICATE = _read.read(
    str, "SIGNING_CERTIFICATE", why="belongs to SIGNING_KEY: a certificate, or a chain, as PEM or the path of its file"
)
HELM = _read.read(Path, "HELM", default=BASE_DIR / ".tools/helm", why="the helm that installs hubs on clusters")
STRIPE_API_KEY = _read.read(str, "STRIPE_API_KEY", why="the secret key of the Stripe account")
STRIPE_WEBHOOK_SECRET = _read.read(str, "STRIPE_WEBHOOK_SECRET", why="verifies Stripe's webhooks")
STRIPE_API_BASE = _read.read(
    str, "STRIPE_API_BASE", default="https://api.stripe.com", why="the address of Stripe's API"
)
DATABASES = {"default": _read.read(postgres, "DATABASE_URL", why="PostgreSQL 18 as the role portal_app")}
REDIS_URL = _read.read(str, "REDIS_URL", why="the broker, Valkey or Redis")
DNS_RESOLVER = _read.read(
    str, "DNS_RESOLVER", default="", why="the DNS server to ask for TXT records, host:port; without one, the system's"
)
SIGN_ON_LOOPBACK = _read.read(
    truth, "SIGN_ON_LOOPBACK", default=False, why="lets identity providers be on this machine; never in production"
)
_mail_host = _read.read(str, "EMAIL_HOST", default="", why="the mail server; without one, mail is written to the home")
DEFAULT_FROM_EMAIL = _read.read(
    str, "DEFAULT_FROM_EMAIL", default="portal@consortium.example", why="the sender of the portal's mail"
)
MAIL_WEBHOOK_SECRETS: list[str] = _read.read(
    words, "MAIL_WEBHOOK_SECRET", default=[], why="proves who hands over mail that came back; two while it is replaced"
)
# Behind a proxy every visitor has its address: limits by address need to know how many proxies to look past.
ALLAUTH_TRUSTED_PROXY_COUNT = _read.read(
    int, "TRUSTED_PROXIES", default=0, why="how many proxies of ours stand before the portal, for limits by address"
)
_secure = PUBLIC_URL.startswith("https://") if PUBLIC_URL else True
_read.finish()

DATABASES["default"] |= {"CONN_MAX_AGE": 60, "CONN_HEALTH_CHECKS": True, "OPTIONS": {"connect_timeout": 5}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
FORM_RENDERER = "django.forms.renderers.TemplatesSetting"

ROOT_URLCONF = "consortium.urls"
WSGI_APPLICATION = "consortium.wsgi.application"
AUTH_USER_MODEL = "members.User"

INSTALLED_APPS = [
    "consortium",
    "members",
    "provisioning",
    "billing",
    "consortium.kernel.admin_app.PortalAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
    "django.forms",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "allauth.socialaccount",
    "allauth.usersessions",
    "rest_framework",
    "drf_spectacular",
    "django_structlog",
    "django_typer",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_structlog.middlewares.RequestMiddleware",
    "members.middleware.MfaRequiredMiddleware",
    "members.middleware.LimiterDownMiddleware",
    "members.floods.FloodMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.csp",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "consortium.views.context.page",
            ],
            "builtins": ["consortium.templatetags.ui", "django.templatetags.i18n", "django.templatetags.static"],
        },
    }
]

# --- Security: deny by default -------------------------------------------------------------------------------------
_checkout = "https://checkout.stripe.com"
if STRIPE_API_BASE != "https://api.stripe.com":
    _checkout = f"{urlsplit(STRIPE_API_BASE).scheme}://{urlsplit(STRIPE_API_BASE).netloc}"
SECURE_CSP = {
    "default-src": [CSP.SELF],
    "script-src": [CSP.SELF, CSP.NONCE],
    "style-src": [CSP.SELF, CSP.NONCE],
    "img-src": [CSP.SELF, "data:"],
    "object-src": [CSP.NONE],
    "base-uri": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
    # Chromium applies form-action to the redirect after a form too, and Checkout is such a redirect.
    "form-action": [CSP.SELF, _checkout],
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_SSL_REDIRECT = _secure
SECURE_HSTS_SECONDS = 31_536_000 if _secure else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = _secure
SECURE_HSTS_PRELOAD = _secure
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https") if _secure else None
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = _secure
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 12 * 3600
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]
X_FRAME_OPTIONS = "DENY"
DATA_UPLOAD_MAX_MEMORY_SIZE = 2_500_000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1_000

# --- Identity ------------------------------------------------------------------------------------------------------
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
    "members.staff_backend.StaffRoleBackend",
]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.ScryptPasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}", "OPTIONS": options}
    for name, options in (
        ("UserAttributeSimilarityValidator", {"user_attributes": ("email", "name")}),
        ("MinimumLengthValidator", {"min_length": 12}),
        ("CommonPasswordValidator", {}),
    )
]
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "dashboard"
LOGOUT_REDIRECT_URL = "home"
ACCOUNT_ADAPTER = "members.adapters.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*", "password2*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "mandatory"
ACCOUNT_EMAIL_SUBJECT_PREFIX = ""
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_SESSION_REMEMBER = False  # a session ends with its browser, and nobody is offered more
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https" if _secure else "http"
SOCIALACCOUNT_ADAPTER = "members.sign_on.adapter.SocialAdapter"
SOCIALACCOUNT_EMAIL_AUTHENTICATION = False  # an identity is an issuer and a subject; an equal address proves nothing
SOCIALACCOUNT_STORE_TOKENS = False
SOCIALACCOUNT_REQUESTS_TIMEOUT = 5
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = not _secure  # http://localhost; browsers themselves refuse every other
MFA_FORMS = {
    "add_webauthn": "members.mfa_forms.AddPasskeyForm",
    "edit_webauthn": "members.mfa_forms.RenamePasskeyForm",
    "authenticate_webauthn": "members.mfa_forms.UsePasskeyForm",
    "login_webauthn": "members.mfa_forms.SignInByPasskeyForm",
    "reauthenticate_webauthn": "members.mfa_forms.ProveByPasskeyForm",
}
MFA_ADAPTER = "members.adapters.MfaAdapter"
MFA_TOTP_ISSUER = "Interactive Computing Consortium"

# Shared by all processes: limits on sign-in attempts and codes that were used already.
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": REDIS_URL, "KEY_PREFIX": "portal"}
}

# --- Language and time ---------------------------------------------------------------------------------------------
LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("fr", "Français")]
LOCALE_PATHS = [BASE_DIR / "locale"]
USE_I18N = True
USE_TZ = True
TIME_ZONE = "UTC"

# --- Files ---------------------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True  # files are served from the apps: nothing to collect, nothing stale
WHITENOISE_AUTOREFRESH = False
STORAGES = {
    "default": {
        "BACKEND": "consortium.kernel.storage.DurableFileStorage",
        "OPTIONS": {"location": PORTAL_HOME / "documents"},
    },
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

# --- Mail: OutgoingMail rows that the sweeper sends; the demo writes them to its home --------------------------------
MAIL_FOLDER = PORTAL_HOME / "mail"
MAILERS: dict[str, dict[str, object]] = {
    "default": {
        "BACKEND": "django.core.mail.backends.filebased.EmailBackend",
        "OPTIONS": {"file_path": str(MAIL_FOLDER)},
    }
}
if _mail_host:
    MAILERS["default"] = {
        "BACKEND": "django.core.mail.backends.smtp.EmailBackend",
        "OPTIONS": {"host": _mail_host, "use_tls": True, "timeout": 20},
    }

# --- Celery: the queue is a hint, the database is the truth ---------------------------------------------------------
CELERY_BROKER_URL = REDIS_URL
CELERY_TASK_ACKS_LATE = True
CELERY_TASK_REJECT_ON_WORKER_LOST = True
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_TASK_IGNORE_RESULT = True
CELERY_TASK_SERIALIZER = "json"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BROKER_TRANSPORT_OPTIONS = {"unacked_restore_interval": 5, "unacked_restore_throttle": 1}
CELERY_TASK_SOFT_TIME_LIMIT = 540
CELERY_TASK_TIME_LIMIT = 600
CELERY_TIMEZONE = "UTC"

# --- REST ----------------------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["members.api_tokens.TokenAuthentication"],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_PAGINATION_CLASS": "consortium.kernel.rest.paging.CursorPages",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "consortium.kernel.rest.problems.problem_response",
    "COERCE_DECIMAL_TO_STRING": True,
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Consortium portal API",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": r"/api/v1",
}

# --- Logs ----------------------------------------------------------------------------------------------------------
DJANGO_STRUCTLOG_CELERY_ENABLED = False


def _hide_secret_links(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A link that opens something by itself is a secret, and secrets are not logged."""
    return {key: without_secret_links(value) if isinstance(value, str) else value for key, value in event.items()}


_shared_log: list[structlog.typing.Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.TimeStamper(fmt="iso"),
    structlog.stdlib.add_log_level,
    structlog.processors.format_exc_info,
    _hide_secret_links,
]
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "json": {
            "()": structlog.stdlib.ProcessorFormatter,
            "foreign_pre_chain": _shared_log,
            "processors": [
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        }
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "json"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "weasyprint": {"level": "ERROR"},
        "pikepdf": {"level": "WARNING"},
        "fontTools": {"level": "ERROR"},
        "httpx": {"level": "WARNING"},
        "stripe": {"level": "WARNING"},
    },
}
structlog.configure(
    processors=[
        structlog.stdlib.filter_by_level,
        *_shared_log,
        structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
    ],
    logger_factory=structlog.stdlib.LoggerFactory(),
    cache_logger_on_first_use=True,
)

DT_RICH_TRACEBACK_CONFIG = False
