"""jobfetch waits for slow jobs at online services and fetches their results once, completely, atomically.

>>> import jobfetch
>>> result = jobfetch.get("cognite", 123, wait=True)
>>> batch = jobfetch.batch("playment", "results/", project="...", batch="...")

What is named here is imported when it is first used. Its types stand in `__init__.pyi`.
"""

__version__ = "0.1.0"

#: name -> the module that it comes from
_FROM = {
    **dict.fromkeys(("Batch", "Result", "batch", "get"), "library"),
    **dict.fromkeys(("Record",), "record_types"),
    **dict.fromkeys(("State",), "model"),
    **dict.fromkeys(
        (
            "BadReply",
            "ConfigError",
            "CredentialsError",
            "DiskError",
            "Exit",
            "FolderLocked",
            "JobFailed",
            "JobfetchError",
            "NotFound",
            "Partial",
            "ResultGone",
            "StillRunning",
            "Unavailable",
            "UsageError",
        ),
        "errors",
    ),
}

__all__ = [*_FROM, "__version__"]  # noqa: PLE0604 - names, every one


def __getattr__(name: str) -> object:
    """What is asked for, imported only now: `import jobfetch` alone costs nothing."""
    if name not in _FROM:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - likewise

    value: object = getattr(import_module(f"{__name__}.{_FROM[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_FROM})
