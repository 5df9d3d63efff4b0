"""The end of the platform on this host, when its scripts shall end with it."""

import time

from django.conf import settings

from core import layout
from core.doorbell import Listener
from engine import keeper
from engine.advance import advance
from engine.host.records import QUEUE_BELL
from history import ledger

BY = "the shutdown of the platform"


def stop_scripts(seconds: float) -> int:
    """Stop and record all runs of this host, for at most `seconds`; returns how many are left alive.

    Call it when no worker runs any more: it starts nothing.
    """
    ear = Listener(layout.bells(), QUEUE_BELL)
    try:
        ledger.request_stop_of_all(settings.HOST_KEY, by=BY)
        until = time.monotonic() + seconds
        while (left := ledger.alive_ids(settings.HOST_KEY)) and time.monotonic() < until:
            advance(left)
            ear.wait(min(0.25, until - time.monotonic()))
    finally:
        ear.close()
    if not left:
        keeper.quit_keeper()
    return len(left)
