"""The installed program, seen from outside: a process, its streams, its files, and what servers heard of it."""
