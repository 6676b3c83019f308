"""Tests of the sandbox, each against one that runs."""
