"""The one settings file. Everything an operator may choose is an environment variable, read by `env`."""

import os
import secrets
import socket
from pathlib import Path

from django.utils.csp import CSP

from core.addresses import is_any, url_of
from pyscheduler.env import Environment, InvalidVariable

env = Environment()

BASE_DIR = Path(__file__).resolve().parent.parent
DATA_PATH = env.folder("PYSCHED_DATA_PATH", BASE_DIR / "data")
MEDIA_ROOT = DATA_PATH / "media" if env.text("PYSCHED_DATA_PATH") else BASE_DIR / "media"

DEBUG = env.flag("PYSCHED_DEBUG")


def _kept(name: str, size: int) -> str:
    """A random text made at the first start and kept in the data path for its owner alone."""
    path = DATA_PATH / name
    try:
        DATA_PATH.mkdir(parents=True, exist_ok=True, mode=0o700)
        # O_EXCL: of several parts that start at once, one makes it and the others read it.
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(size))
    except FileExistsError:
        pass
    except OSError as error:
        raise InvalidVariable("PYSCHED_DATA_PATH", f"{DATA_PATH} cannot be written ({error.strerror})", "name a writable folder") from None
    return path.read_text().strip()


def _secret_key() -> str:
    """The key of the environment, or the one made at the first start."""
    given = env.text("PYSCHED_SECRET_KEY")
    if given and len(given) < 32:
        raise InvalidVariable("PYSCHED_SECRET_KEY", "it is shorter than 32 characters", "use a longer random value")
    return given or _kept("secret_key", 50)


SECRET_KEY = _secret_key()
# Keys that were in use before: sessions and kept secrets that they signed or sealed still open.
SECRET_KEY_FALLBACKS = env.words("PYSCHED_SECRET_KEY_FALLBACKS")

HOST = env.text("PYSCHED_HOST", "127.0.0.1")
PORT = env.integer("PYSCHED_PORT", 8000, least=1, most=65535)
# Scripts do not run in workers, and of a host's workers one moves its runs on at a time: a second costs 10 MB and waits.
WORKERS = env.integer("PYSCHED_WORKERS", 1, least=1, most=64)
MAX_RUNS = env.integer("PYSCHED_MAX_RUNS", max(4, 2 * (os.cpu_count() or 1)), least=1, most=10_000)
HOST_KEY = env.text("PYSCHED_HOST_KEY") or f"{socket.gethostname()[:60]}-{_kept('host_id', 3)}"
if len(HOST_KEY) > 90:
    raise InvalidVariable("PYSCHED_HOST_KEY", "it is longer than 90 characters", "use a shorter name")
ISOLATION_LEVELS = ("bubblewrap", "user", "landlock", "plain")
ISOLATION = env.choice("PYSCHED_ISOLATION", "auto", ("auto", *ISOLATION_LEVELS))
# Runs below this level are refused.
MIN_ISOLATION = env.choice("PYSCHED_MIN_ISOLATION", "", ("", *ISOLATION_LEVELS))
# Pythons for scripts beyond those that are found where such things are installed: absolute paths.
PYTHONS = env.words("PYSCHED_PYTHONS")
# How long an environment that no thread has stays on disk after its last run.
UNUSED_ENVIRONMENT_DAYS = env.integer("PYSCHED_UNUSED_ENVIRONMENT_DAYS", 30, least=1, most=3650)
# What `up` does with running scripts when it ends: `auto` stops them on Ctrl-C and keeps them on SIGTERM.
ON_SHUTDOWN = env.choice("PYSCHED_ON_SHUTDOWN", "auto", ("auto", "stop", "keep"))
# Where people and scripts reach the platform.
PUBLIC_URL = env.text("PYSCHED_URL", url_of(HOST, PORT))

# The most that a team may give a thread, by the thread's fields; runs of threads that were given more before have no more.
MAX_LIMITS = {
    "timeout_seconds": env.integer("PYSCHED_MAX_SCRIPT_TIMEOUT", 30 * 86400, least=1, most=30 * 86400),
    "memory_limit_mb": env.integer("PYSCHED_MAX_MEMORY_MB", 1_048_576, least=16, most=1_048_576),
    "process_limit": env.integer("PYSCHED_MAX_PROCESSES", 100_000, least=1, most=100_000),
    "output_limit_mb": env.integer("PYSCHED_MAX_OUTPUT_MB", 100_000, least=1, most=100_000),
    "directory_limit_mb": env.integer("PYSCHED_MAX_DIRECTORY_MB", 10_000_000, least=1, most=10_000_000),
}


def _default_limit(variable: str, usual: int, field: str, least: int) -> int:
    """What a thread has that was given none; never more than may be given."""
    return env.integer(variable, min(usual, MAX_LIMITS[field]), least=least, most=MAX_LIMITS[field])


DEFAULT_SCRIPT_TIMEOUT = _default_limit("PYSCHED_DEFAULT_SCRIPT_TIMEOUT", 1800, "timeout_seconds", 1)
DEFAULT_MEMORY_LIMIT_MB = _default_limit("PYSCHED_DEFAULT_MEMORY_LIMIT", 1024, "memory_limit_mb", 16)
DEFAULT_PROCESS_LIMIT = _default_limit("PYSCHED_DEFAULT_PROCESS_LIMIT", 256, "process_limit", 1)
# At its most no limit at all: the log is cut, and the run goes on.
DEFAULT_OUTPUT_LIMIT_MB = _default_limit("PYSCHED_DEFAULT_OUTPUT_LIMIT_MB", 100_000, "output_limit_mb", 1)
ADMIN_USERNAME = env.text("PYSCHED_ADMIN_USERNAME", "admin")
ADMIN_PASSWORD = env.text("PYSCHED_ADMIN_PASSWORD")
RATE_LIMIT_ENABLED = env.flag("PYSCHED_RATE_LIMIT_ENABLED", True)
# Of each key, person or address over the API.
CALLS_PER_MINUTE = 1200

# Room a run may take: beyond it the log is cut with a notice, the directory ends the run with that reason.
LOG_LIMIT_BYTES = env.integer("PYSCHED_LOG_LIMIT_MB", 50, least=1, most=100_000) * 1024 * 1024
RUN_DIRECTORY_LIMIT_BYTES = _default_limit("PYSCHED_RUN_DIRECTORY_LIMIT_MB", 5120, "directory_limit_mb", 1) * 1024 * 1024
STOP_GRACE_SECONDS = env.integer("PYSCHED_STOP_GRACE", 5, least=0, most=600)

# Scripts and inputs that are uploaded.
MAX_SCRIPT_BYTES = 1024 * 1024
MAX_FILE_BYTES = 50 * 1024 * 1024
MAX_FILES = 20
# A request as a whole: beyond it the web server does not read on.
MAX_BODY_BYTES = 256 * 1024 * 1024
DATA_UPLOAD_MAX_MEMORY_SIZE = 60 * 1024 * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
# A process of 100 steps with 50 parameters each is one form.
DATA_UPLOAD_MAX_NUMBER_FIELDS = 12_000

ALLOWED_HOSTS = env.words("PYSCHED_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
if not is_any(HOST) and HOST not in ALLOWED_HOSTS:
    ALLOWED_HOSTS.append(HOST)

INSTALLED_APPS = [
    "pyscheduler",
    # Django's admin, as a site for operators alone.
    "pyscheduler.apps.PlatformAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "rest_framework",
    "drf_spectacular",
    "core",
    "events",
    "accounts",
    "environments",
    "threads",
    "processes",
    "history",
    "schedules",
    # Before django_q: its `qcluster` is ours, with the watchdog around django-q2's own.
    "engine",
    "operations",
    "django_q",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "events.middleware.LiveCursorMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "core.middleware.HtmxRedirectMiddleware",
    "core.middleware.DomainErrorMiddleware",
]

ROOT_URLCONF = "pyscheduler.urls"
WSGI_APPLICATION = "pyscheduler.web.wsgi.application"

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "django.template.context_processors.csp",
                "pyscheduler.context.shell",
            ],
            "builtins": ["core.templatetags.ui"],
        },
    },
]

DATABASES = {"default": env.database("PYSCHED_DATABASE_URL", DATA_PATH / "pyscheduler.sqlite3")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# django-q2 is transport: our Run table is the truth, our deadlines are exact, so nothing is timed or redelivered here.
Q_CLUSTER = {
    "name": "pyscheduler",
    "orm": "default",
    "broker_class": "engine.broker.BellBroker",
    "workers": WORKERS,
    "timeout": 30 * 86400,
    "retry": 31 * 86400,
    "ack_failures": True,
    "max_attempts": 1,
    "save_limit": -1,
    "queue_limit": 1,
    "bulk": 1,
    "recycle": 5000,
    "guard_cycle": 0.5,
    "scheduler": False,
    "catch_up": False,
    "poll": 1.0,
    "log_level": "WARNING",
    "label": "Queue",
    "ALT_CLUSTERS": {},
}
if env.text("PYSCHED_BROKER_URL"):
    raise InvalidVariable("PYSCHED_BROKER_URL", "this version keeps its queue in the database alone", "leave it unset")

AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "dashboard"
LOGOUT_REDIRECT_URL = "login"

LANGUAGE_CODE = "en-us"
USE_I18N = False
TIME_ZONE = "UTC"
USE_TZ = True

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "core.assets.VersionedStaticStorage"},
}
# Served straight from their sources: no collecting step before the first page; `?v=` makes them cacheable for ever.
WHITENOISE_USE_FINDERS = True
WHITENOISE_MAX_AGE = 31_536_000

# MEDIA_ROOT is never served by URL: files go through views that ask who may see them.

# No script or style of a page's own text runs: everything comes from our static files.
SECURE_CSP = {
    "default-src": ["'none'"],
    "script-src": ["'self'"],
    # The nonce is for one block of Django's admin; pages that do not ask for it send a policy without one.
    "style-src": ["'self'", CSP.NONCE],
    "img-src": ["'self'", "data:"],
    "font-src": ["'self'"],
    "connect-src": ["'self'"],
    "form-action": ["'self'"],
    "base-uri": ["'none'"],
    "frame-ancestors": ["'none'"],
    "manifest-src": ["'self'"],
}
X_FRAME_OPTIONS = "DENY"
SESSION_COOKIE_HTTPONLY = True
CSRF_COOKIE_HTTPONLY = True
CSRF_USE_SESSIONS = False
SECURE_REFERRER_POLICY = "same-origin"
# Behind a proxy that speaks TLS: cookies by TLS alone, and the browser told so.
BEHIND_TLS = env.flag("PYSCHED_BEHIND_TLS")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = BEHIND_TLS
SECURE_HSTS_SECONDS = 31_536_000 if BEHIND_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = SECURE_SSL_REDIRECT = BEHIND_TLS
if BEHIND_TLS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    CSRF_TRUSTED_ORIGINS = [f"https://{host}" for host in ALLOWED_HOSTS if "*" not in host]
else:
    # A plain http installation on a private network is a supported one: the operator chose it.
    SILENCED_SYSTEM_CHECKS = ["security.W004", "security.W008", "security.W012", "security.W016"]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["accounts.authentication.KeyAuthentication", "accounts.authentication.BrowserSession"],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.authentication.MayUseApi"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": [
        "rest_framework.parsers.JSONParser",
        "rest_framework.parsers.FormParser",
        "rest_framework.parsers.MultiPartParser",
    ],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_PAGINATION_CLASS": "core.api.CursorPages",
    "EXCEPTION_HANDLER": "core.api.answer_error",
    "DEFAULT_THROTTLE_CLASSES": ["accounts.authentication.KeyThrottle"] if RATE_LIMIT_ENABLED else [],
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "PyScheduler",
    "DESCRIPTION": "Threads, processes, schedules and runs over HTTP.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "POSTPROCESSING_HOOKS": ["drf_spectacular.hooks.postprocess_schema_enums", "pyscheduler.streams.describe"],
    "ENUM_NAME_OVERRIDES": {
        "RunStatus": "history.status.Status",
        "RunKind": "history.status.Kind",
        "ScheduleKind": "schedules.models.ScheduleKind",
        "Role": "accounts.roles.Role",
        "FileRole": "threads.models.FileRole",
        "HealthState": "operations.api.STATES",
        "BuildStatus": "environments.models.BuildStatus",
        "EnvironmentState": "environments.models.EnvironmentState",
        "EnvironmentStatus": "environments.shapes.STATES",
    },
}

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "{asctime} {levelname:<7} {name}: {message}", "style": "{"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": "INFO"},
    "loggers": {
        "django": {"level": "WARNING"},
        # A refused request is an answer, not an operator's concern.
        "django.request": {"level": "ERROR"},
        "django.security.DisallowedHost": {"level": "CRITICAL"},
        "django-q": {"level": "WARNING"},
        "uvicorn": {"level": "ERROR"},
    },
}
