"""Secrets at rest: sealed, opened by keys that were in use before, sealed anew."""

import subprocess
import sys
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from threads.models import Variable
from threads.sealing import CannotOpen, open_sealed, seal
from threads.variables import set_variable

OLD, NEW = "the key that was in use for years, until today", "the key that takes its place, also long enough"


def test_a_secret_opens_by_the_key_that_sealed_it_and_by_no_other(settings: Any) -> None:
    settings.SECRET_KEY = OLD
    sealed = seal("häßlich\nin two lines")
    assert "lich" not in sealed
    assert open_sealed(sealed) == "häßlich\nin two lines"
    assert seal("same") != seal("same")
    settings.SECRET_KEY = NEW
    with pytest.raises(CannotOpen):
        open_sealed(sealed)
    settings.SECRET_KEY_FALLBACKS = ["another one before that, of no use here", OLD]
    assert open_sealed(sealed) == "häßlich\nin two lines"


def test_a_changed_seal_does_not_open() -> None:
    sealed = seal("value")
    for broken in (sealed[:-4] + "AAAA", sealed[:20], "", "no seal at all"):
        with pytest.raises(CannotOpen):
            open_sealed(broken)


def test_after_a_rotation_the_old_key_can_go(people: Any, settings: Any, capsys: pytest.CaptureFixture[str]) -> None:
    settings.SECRET_KEY = OLD
    for name in ("FIRST", "SECOND"):
        set_variable(team=people.team, user=people.editor, name=name, value=name.lower(), is_secret=True)
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = NEW, [OLD]
    call_command("rotatesecrets")
    assert capsys.readouterr().out == "2 secrets are sealed by the present key.\n"
    settings.SECRET_KEY_FALLBACKS = []
    assert {open_sealed(variable.sealed) for variable in Variable.objects.all()} == {"first", "second"}
    settings.SECRET_KEY = OLD
    with pytest.raises(CommandError, match="2 no key opens: FIRST of Weather, SECOND of Weather"):
        call_command("rotatesecrets")


@pytest.mark.once
def test_the_platform_starts_without_the_memory_that_sealing_takes() -> None:
    code = "import django, sys; django.setup(); import pyscheduler.urls, engine.tasks; print('cryptography' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert done.stdout == "False\n"
