"""HTTP, politely and safely: `Transport` sends requests of the model; nothing above here knows how."""

from jobfetch.transport.client import Transport
from jobfetch.transport.wire import PARSE_LIMIT, Wire, netrc_of, proxy_for

__all__ = ["PARSE_LIMIT", "Transport", "Wire", "netrc_of", "proxy_for"]
