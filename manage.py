#!/usr/bin/env python
"""The command line of PyScheduler: `manage.py up` starts the whole platform."""

import os
import sys


def main() -> None:
    # Database, logs, scripts and what they write are for the platform's own user alone.
    os.umask(0o077)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pyscheduler.settings")
    from django.core.management import execute_from_command_line

    execute_from_command_line(sys.argv)


if __name__ == "__main__":
    main()
