"""Settings: where they come from and which place wins (`settings`), the file (`file`), and changing it (`edit`)."""

from jobfetch.config.edit import init, put, remove
from jobfetch.config.example import example
from jobfetch.config.file import FILE_NAME, File, keys_of, read
from jobfetch.config.settings import ADDRESSES, RUN, default_provider, found, levels, params_of, profile_named, resolve
from jobfetch.places import Levels

__all__ = [
    "ADDRESSES",
    "FILE_NAME",
    "RUN",
    "File",
    "Levels",
    "default_provider",
    "example",
    "found",
    "init",
    "keys_of",
    "levels",
    "params_of",
    "profile_named",
    "put",
    "read",
    "remove",
    "resolve",
]
