"""Writes the files that are made from code: completions for bash, zsh and fish, the example config, the record's schema."""

from __future__ import annotations

from pathlib import Path

from bash import bash
from fish import fish
from tree import tree
from zsh import zsh

from jobfetch import config, record_types
from jobfetch.providers import PROVIDERS

ROOT = Path(__file__).parent.parent


def generated() -> dict[Path, str]:
    """Every file that is made from code, by its path from the top."""
    places = tree()
    return {
        Path("completions/jobfetch.bash"): bash(places),
        Path("completions/_jobfetch"): zsh(places),
        Path("completions/jobfetch.fish"): fish(places),
        Path("config.example.toml"): config.example(PROVIDERS),
        Path("jobfetch/schemas/result-1.json"): record_types.json_schema().decode(),
    }


if __name__ == "__main__":
    for path, text in generated().items():
        (ROOT / path).write_text(text, encoding="utf-8")
