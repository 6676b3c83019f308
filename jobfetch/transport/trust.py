"""Whose certificates are trusted: one TLS context for all connections of a run, made when the first of them needs it.

Reading some 140 authorities takes as long as ten small requests, and urllib3 alone would do it for every connection.
"""

from __future__ import annotations

import os
import stat
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from jobfetch.errors import ConfigError

if TYPE_CHECKING:
    import ssl

_VARIABLES = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSL_CERT_FILE")


class Trust:
    """The file or folder of authorities that is named: by the option, by one of the usual variables, or the built-in one.

    Raises:
        ConfigError: there is no such file or folder.

    """

    def __init__(self, ca_bundle: str | None = None) -> None:
        candidates = [("--ca-bundle", ca_bundle), *((name, os.environ.get(name)) for name in _VARIABLES)]
        #: None stands for the built-in ones
        self.path: str | None
        self._name, self.path = next(((name, path) for name, path in candidates if path), ("certifi", None))
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None
        try:
            self._is_folder = bool(self.path) and stat.S_ISDIR(Path(self.path or "").stat().st_mode)
        except (OSError, ValueError):
            raise self._wrong("does not exist") from None

    def context(self) -> ssl.SSLContext:
        """The context for every connection: certificates and host names are checked, always.

        Raises:
            ConfigError: no authority can be read from there.

        """
        import ssl  # noqa: PLC0415 - nothing of it is needed for http

        with self._lock:
            if self._context is None:
                path = self.path or _built_in()
                place = {"capath": path} if self._is_folder else {"cafile": path}
                try:
                    made = ssl.create_default_context(**place)  # type: ignore[arg-type]  # two texts by name
                except (OSError, ValueError):  # ssl.SSLError is an OSError
                    raise self._wrong("holds no authorities that can be read") from None
                made.hostname_checks_common_name = False
                made.set_alpn_protocols(["http/1.1"])
                self._context = made
            return self._context

    def _wrong(self, what: str) -> ConfigError:
        return ConfigError(f"{self._name} names {self.path}, which {what}", hint="name a PEM file of authorities")


def _built_in() -> str:
    import certifi  # noqa: PLC0415 - it looks for its file for as long as a small request takes

    return certifi.where()
