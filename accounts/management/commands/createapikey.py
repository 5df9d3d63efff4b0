"""`manage.py createapikey`: one new key, alone, on standard output."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Team, User
from accounts.roles import Scope
from accounts.services import create_api_key
from core.errors import DomainError


class Command(BaseCommand):
    help = "Make an API key for a person and print it, alone. It is shown this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", required=True, metavar="NAME", help="whose key it is")
        parser.add_argument("--team", metavar="SLUG", help="the one team it acts in; all teams of its person when left out")
        parser.add_argument(
            "--scope", action="append", metavar="SCOPE", help=f"one of {', '.join(Scope.values)}; may be repeated; all when left out"
        )
        parser.add_argument("--days", type=int, metavar="N", help="how long it is good for; for ever when left out")
        parser.add_argument("--name", default="Command line", help="what people see it as")

    def handle(self, *args: Any, **options: Any) -> None:
        user = User.objects.filter(username=options["user"]).first()
        if user is None:
            raise CommandError(f"There is no user {options['user']!r}.")
        team = None
        if options["team"] is not None:
            team = Team.objects.filter(slug=options["team"]).first()
            if team is None:
                raise CommandError(f"There is no team {options['team']!r}.")
        try:
            _, text = create_api_key(user=user, name=options["name"], by=None, team=team, scopes=options["scope"], days=options["days"])
        except DomainError as error:
            raise CommandError(error.message) from None
        self.stdout.write(text)
