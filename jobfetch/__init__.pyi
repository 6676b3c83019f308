# The types of what `jobfetch` offers to Python programs; a test compares the names with those of `__init__.py`.

from jobfetch.errors import (
    BadReply,
    ConfigError,
    CredentialsError,
    DiskError,
    Exit,
    FolderLocked,
    JobFailed,
    JobfetchError,
    NotFound,
    Partial,
    ResultGone,
    StillRunning,
    Unavailable,
    UsageError,
)
from jobfetch.library import Batch, Result, batch, get
from jobfetch.model import State
from jobfetch.record_types import Record

__all__ = [
    "BadReply",
    "Batch",
    "ConfigError",
    "CredentialsError",
    "DiskError",
    "Exit",
    "FolderLocked",
    "JobFailed",
    "JobfetchError",
    "NotFound",
    "Partial",
    "Record",
    "Result",
    "ResultGone",
    "State",
    "StillRunning",
    "Unavailable",
    "UsageError",
    "__version__",
    "batch",
    "get",
]

__version__: str
