"""Take environments off the disk that nobody uses."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from core.text import size_words
from environments.upkeep import collect_unused


class Command(BaseCommand):
    help = "Takes Python environments off the disk that no thread uses and no run has used lately."

    def add_arguments(self, parser: CommandParser) -> None:
        usual = settings.UNUSED_ENVIRONMENT_DAYS
        parser.add_argument("--days", type=int, default=usual, help=f"how long unused, {usual} days when left out")

    def handle(self, *args: Any, days: int, **options: Any) -> None:
        collected = collect_unused(days=days)
        self.stdout.write(f"Collected: {len(collected)}, {size_words(sum(collected.values()))}")
