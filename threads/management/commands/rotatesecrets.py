"""`manage.py rotatesecrets`: seal all secrets by the present secret key, so that an earlier one can be thrown away."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from threads.variables import seal_all_anew


class Command(BaseCommand):
    help = "Seal all secrets by the present PYSCHED_SECRET_KEY; those of PYSCHED_SECRET_KEY_FALLBACKS can be thrown away afterwards."

    def handle(self, *args: Any, **options: Any) -> None:
        done, closed = seal_all_anew()
        if closed:
            named = ", ".join(f"{variable.name} of {variable.thread or variable.team}" for variable in closed[:10])
            raise CommandError(f"{done} secrets are sealed anew; {len(closed)} no key opens: {named}. Set them anew, or add their key.")
        self.stdout.write(f"{done} secrets are sealed by the present key.")
