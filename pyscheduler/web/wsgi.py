"""Django's handler for everything but the event streams."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pyscheduler.settings")
application = get_wsgi_application()
