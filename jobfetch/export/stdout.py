"""Standard output, which may be closed, full, or read by nobody any more."""

from __future__ import annotations

import os
import shutil
import sys
from typing import BinaryIO

from jobfetch.disk import CHUNK, disk_error
from jobfetch.errors import DiskError, ReaderGone


def to_stdout(data: bytes | BinaryIO) -> None:
    """Write bytes, or a whole file from its start, to standard output, now.

    `ReaderGone` where nobody reads any more, `DiskError` where it is full.
    """
    if not sys.stdout:
        raise DiskError("standard output is closed", hint="redirect it to a file")
    try:
        if isinstance(data, bytes):
            sys.stdout.buffer.write(data)
        else:
            data.seek(0)
            shutil.copyfileobj(data, sys.stdout.buffer, CHUNK)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        _mute_stdout()
        raise ReaderGone("the reader of standard output went away") from None
    except OSError as error:
        _mute_stdout()
        raise disk_error(error, "standard output") from None


def _mute_stdout() -> None:
    # what is left in the buffer would raise again when Python ends
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
