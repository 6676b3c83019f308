"""One listening port: takes connections, gives each a thread, and hangs up on all of them at the end."""

import contextlib
import selectors
import socket
import threading
import time
from collections.abc import Callable

_PATIENCE = 0.5
"""Seconds to wait for threads that were just hung up on."""
_BACKLOG = 1024


class Listener:
    """Serves every connection to one port, each in a thread, from start to stop."""

    def __init__(self, host: str, port: int, serve: Callable[[socket.socket], None]) -> None:
        self._serve = serve
        self._lock = threading.Lock()
        self._connections: dict[socket.socket, threading.Thread] = {}
        self._socket = socket.create_server((host, port), backlog=_BACKLOG)
        self._waker, self._woken = socket.socketpair()
        self._acceptor = threading.Thread(target=self._accept, name="sandbox", daemon=True)
        self._acceptor.start()

    @property
    def url(self) -> str:
        """Where a client finds this port."""
        host, port = self._socket.getsockname()[:2]
        return f"http://{host}:{port}"

    def stop(self) -> None:
        """Take no more connections and hang up on those that are open."""
        self._waker.send(b"x")
        self._acceptor.join()
        for opened in (self._socket, self._waker, self._woken):
            opened.close()
        with self._lock:
            connections = dict(self._connections)
            for connection in connections:
                # wakes a thread that waits for this client, which closing alone would not
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
        deadline = time.monotonic() + _PATIENCE
        for thread in connections.values():
            thread.join(max(0.0, deadline - time.monotonic()))

    def _accept(self) -> None:
        with selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while all(key.fileobj is self._socket for key, _ in selector.select()):
                try:
                    connection, _ = self._socket.accept()
                except OSError:
                    continue  # the client left before it was its turn
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                thread = threading.Thread(target=self._attend, args=(connection,), name="sandbox", daemon=True)
                with self._lock:
                    self._connections[connection] = thread
                thread.start()

    def _attend(self, connection: socket.socket) -> None:
        try:
            # a client may leave in the middle of anything; that is its right
            with contextlib.suppress(ConnectionError, TimeoutError):
                self._serve(connection)
        finally:
            with self._lock:
                del self._connections[connection]
                connection.close()
