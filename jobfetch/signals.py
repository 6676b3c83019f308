"""The signals that end a run, and how to import what none of them may cut in two."""

from __future__ import annotations

import signal
import sys
import threading
from importlib import import_module
from typing import Any

#: Signals that end a run in order: whoever stops it, or the terminal that is gone, where there is such a thing.
ENDING = tuple(getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name))
STOPPING = (signal.SIGINT, *ENDING)


def imported(name: str) -> Any:
    """A module, imported aside where it is not there yet: an import that a signal cuts in two cannot be made again.

    Python hears signals in its main thread only, whichever thread the system gives them to, so that to hold them back
    in one does not help. Raises what the import raises.
    """
    if name in sys.modules or threading.current_thread() is not threading.main_thread():
        return import_module(name)
    trouble: list[BaseException] = []

    def run() -> None:
        try:
            import_module(name)
        except BaseException as error:  # noqa: BLE001 - raised again below, in the thread that asked
            trouble.append(error)

    aside = threading.Thread(target=run, name="jobfetch-import", daemon=True)
    aside.start()
    aside.join()
    if trouble:
        raise trouble[0]
    return sys.modules[name]
