"""A real HTTP server that plays the services, so that scripts can be rehearsed without an account."""

from jobfetch.sandbox.batches import BATCHES
from jobfetch.sandbox.behaviours import BEHAVIOURS, SECRETS, Behaviour
from jobfetch.sandbox.idp import READY_TOKEN
from jobfetch.sandbox.server import Asked, Sandbox

__all__ = ["BATCHES", "BEHAVIOURS", "READY_TOKEN", "SECRETS", "Asked", "Behaviour", "Sandbox"]
