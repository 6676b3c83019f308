"""HTTP, politely and safely: `Transport` sends requests of the model; nothing above here knows how."""

from jobfetch.transport.client import Gate, Transport
from jobfetch.transport.wire import PARSE_LIMIT, Wire, netrc_of, proxy_for

__all__ = ["PARSE_LIMIT", "Gate", "Transport", "Wire", "netrc_of", "proxy_for"]
