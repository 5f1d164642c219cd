"""The command line: ``python -m salesforce_standin --port 8080``."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import sys
from pathlib import Path

from aiohttp import web

from salesforce_standin import seed, tls
from salesforce_standin.config import Settings, parse_arguments, settings_from
from salesforce_standin.org import Org
from salesforce_standin.server import Server
from salesforce_standin.storage import Storage


def open_org(argv: list[str] | None = None) -> Org:
    """Return the org that the command line describes: the one in the data directory, or a new one."""
    arguments = parse_arguments(argv)
    storage = Storage(Path(arguments.data) if arguments.data else None)
    settings = settings_from(arguments, storage.setting("identity") or {})
    org = Org(settings, storage)
    is_new = not org.tables["Organization"].rows
    seed.found(org)
    admin = next(user["Id"] for user in org.users() if user["Username"] == settings.username)
    org.sessions.fix(settings.token, admin)
    if is_new and settings.seed is not None:
        seed.plant(org, settings.seed)
    org.remember("identity", settings.made_up)
    org.commit()
    # Nothing loaded so far will ever be garbage: keep the collector from walking it again and again.
    gc.collect()
    gc.freeze()
    return org


async def serve(org: Org) -> None:
    """Listen until a signal comes."""
    settings = org.settings
    runner = Server(org).runner()
    await runner.setup()
    site = web.TCPSite(
        runner, settings.host, settings.port, ssl_context=tls.context(settings.data) if settings.tls else None
    )
    await site.start()
    _announce(settings, runner.addresses[0][1])
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()
    await runner.cleanup()


def _announce(settings: Settings, port: int) -> None:
    scheme = "https" if settings.tls else "http"
    lines = [f"listening on {scheme}://{settings.host}:{port}"]
    shown = ("org_id", "client_id", "client_secret", "token", "password", "security_token")
    lines += [f"made up {name}: {settings.made_up[name]}" for name in shown if name in settings.made_up]
    sys.stdout.write("\n".join(lines) + "\n")
    sys.stdout.flush()


def main() -> None:
    """Run the stand-in."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(serve(open_org()))


if __name__ == "__main__":
    main()
