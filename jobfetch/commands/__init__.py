"""What each command does: wires the real network, disk, clock and terminal to the use-cases, and reports.

It parses nothing (see `cli`) and decides nothing about jobs (see `fetch`). One module for each family of commands, so
that a command imports only what it needs.
"""
