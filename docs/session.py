"""Draws docs/session.svg: a few lines typed into a shell against the sandbox, and what they really said.

python docs/session.py
"""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

from jobfetch.commands.sandbox import apart
from jobfetch.sandbox import Sandbox

PICTURE = Path(__file__).with_suffix(".svg")

LINES = (
    "jobfetch get cognite 123 --wait --interval 1 -o predictions.csv",
    "jobfetch -q get cognite 123 -f csv --columns job_id,kind,text,score",
    "jobfetch get cognite 600 --wait --interval 1 -o failed.json; echo $?",
    "jobfetch batch download playment --batch batch-3 -o results -f csv",
    "jobfetch batch download playment --batch batch-3 -o results -f csv",
    "jobfetch batch status results",
)

#: The drawing without fonts from elsewhere: nothing is loaded by whoever looks at it.
FRAME = """\
<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
    <style>
    .{unique_id}-matrix {{
        font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace;
        font-size: {char_height}px;
        line-height: {line_height}px;
        font-variant-east-asian: full-width;
    }}
    .{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
    {styles}
    </style>
    <defs>
    <clipPath id="{unique_id}-clip-terminal">
      <rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
    </clipPath>
    {lines}
    </defs>
    {chrome}
    <g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
    {backgrounds}
    <g class="{unique_id}-matrix">
    {matrix}
    </g>
    </g>
</svg>
"""


def main() -> None:
    """Run the lines and draw them."""
    console = Console(record=True, width=110, file=io.StringIO(), highlight=False)
    with Sandbox() as box, tempfile.TemporaryDirectory() as home:
        environment = {**apart(box.environment(), Path(home)), "COLUMNS": "110"}
        folder = Path(home) / "work"
        folder.mkdir()
        for line in LINES:
            console.print(Text.assemble(("$ ", "bold green"), (line, "bold")))
            done = subprocess.run(
                ["bash", "-c", line],
                cwd=folder,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            console.print(Text(done.stdout.replace(box.url, "https://api.example.com")))
    PICTURE.write_text(console.export_svg(title="jobfetch", code_format=FRAME, unique_id="jobfetch"), encoding="utf-8")


if __name__ == "__main__":
    # the program beside this Python, and no other
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    main()
