"""The scenes of `jobfetch demo`: what is typed, and what is said about it. It runs nothing."""

from __future__ import annotations

from msgspec import Struct


class Scene(Struct, frozen=True):
    """One command line of the demo, after the words that lead to it; `{dir}` is where files go."""

    says: str
    arguments: tuple[str, ...]


SCENES = (
    Scene(
        "A job that is still running, waited for. Its result is an attachment behind a redirect to foreign storage.",
        ("get", "playment", "after-3", "--wait", "--interval", "0.5", "-o", "{dir}/after-3.json"),
    ),
    Scene(
        "A finished job as a table: one row for each thing that was found.",
        ("get", "cognite", "{done}", "-o", "{dir}/predictions.csv"),
    ),
    Scene(
        "The words of a document, unpacked, with their boxes: a login for a token, and another view of the same result.",
        ("get", "expertai", "words-separated", "--wait", "--interval", "0.5", "--rows", "words", "-f", "csv"),
    ),
    Scene(
        "A job that failed at the service: its own words, its record kept, and an exit code that says so.",
        ("get", "cognite", "{fails}", "--wait", "--interval", "0.5", "-o", "{dir}/failed.json"),
    ),
)

NEXT = """What to type next:

  jobfetch sandbox jobs                      everything that the sandbox can play
  jobfetch sandbox run -- bash               a shell in which jobfetch reaches only a sandbox
  jobfetch providers show cognite            what a real service needs
  jobfetch get cognite JOB_ID --wait -o out.json
"""
