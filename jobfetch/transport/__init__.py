"""HTTP, politely and safely: `Transport` sends requests of the model; nothing above here knows how.

The wire takes long to import, and is imported once it is used: many commands ask no service.
"""

from jobfetch.transport.client import Gate, Transport

__all__ = ["Gate", "Transport"]
