"""Which TCP ports the servers use: the one asked for, else the last one, else a free one; always on loopback."""

from __future__ import annotations

import random
import socket

from stack.errors import StackError

LOOPBACK = "127.0.0.1"
LOW, HIGH = 20_000, 32_000  # below the ports that systems hand to outgoing connections


def is_free(port: int) -> bool:
    """Whether a server could listen on this port of the loopback address now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """A port that nothing uses now, picked at random so that two stacks started together do not meet."""
    for _ in range(200):
        port = random.randrange(LOW, HIGH)
        if is_free(port):
            return port
    raise StackError(
        f"No free TCP port between {LOW} and {HIGH} on {LOOPBACK}: stop some servers and try again."
    )


def choose(variable: str, asked: str | None, last: int | None) -> int:
    """The port for a server: ``asked`` must be free, ``last`` is used again if it is."""
    if asked:
        if not asked.isdigit() or not 0 < int(asked) < 65_536:
            raise StackError(f"{variable}={asked} is no TCP port: use a number from 1 to 65535.")
        if not is_free(int(asked)):
            raise StackError(
                f"{variable}={asked} is taken by another program: choose another number, "
                f"or leave {variable} out and a free one is found."
            )
        return int(asked)
    return last if last and is_free(last) else free_port()
