"""Failures of one kind in a row, in whatever thread they come back: after so many it is the same for everybody."""

from __future__ import annotations

import threading

from jobfetch.errors import JobfetchError, NoResult, NotJson, Unauthorized, Unavailable

#: Failures of one kind in a row after which nothing more is asked.
MOST_ALIKE = 10

_ALIKE = (Unavailable, Unauthorized, NotJson)
#: What looks like them, and is a trouble of one job alone.
_OWN = (NoResult,)


class Streak:
    """Counts over a whole run; safe to be told from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._length = 0
        self._kind: type[JobfetchError] | None = None
        #: the error that ends the run, once there are too many
        self.error: JobfetchError | None = None

    def hear(self, error: JobfetchError | None) -> bool:
        """Count what one job came to; whether nothing more is to be asked."""
        with self._lock:
            kind = next((each for each in _ALIKE if isinstance(error, each) and not isinstance(error, _OWN)), None)
            self._length = self._length + 1 if kind and kind is self._kind else 1 if kind else 0
            self._kind = kind
            if error and self._length >= MOST_ALIKE and not self.error:
                self.error = type(error)(
                    f"{self._length} jobs in a row have failed alike, so no more are asked for; the last: {error.message}",
                    hint=error.hint,
                    code=error.code,
                    request_id=error.request_id,
                    retry_at=error.retry_at,
                )
            return self.error is not None
