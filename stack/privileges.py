"""How Postgres, which refuses to run as root, is started by root: as ``nobody``, with no more rights than it needs.

No account is made and no folder outside the checkout is opened for others.  Where ``nobody`` may not pass through
the folders above the checkout (a home folder of mode 0700, say), the process keeps one single capability of root.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stack.errors import StackError

# Least first: look into folders that belong to others; the same with writing (what containers leave to root).
CAPABILITIES = ("dac_read_search", "dac_override")


@dataclass(frozen=True)
class Identity:
    """The account a program runs under, as arguments for ``subprocess`` and a prefix for its command."""

    account: pwd.struct_passwd | None = None
    prefix: tuple[str, ...] = ()

    def options(self) -> dict[str, Any]:
        """Keyword arguments for ``subprocess``; none where the program stays who we are."""
        if self.account is None or self.prefix:
            return {}
        return {"user": self.account.pw_uid, "group": self.account.pw_gid, "extra_groups": []}

    def own(self, *paths: Path) -> None:
        """Hand files or folders over to the account."""
        for path in paths:
            if self.account is not None:
                os.chown(path, self.account.pw_uid, self.account.pw_gid)


def _with_capability(account: pwd.struct_passwd, capability: str) -> Identity:
    keep = f"-all,+{capability}"
    ids = (f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups")
    # Without that bit access(2), by which Postgres looks for its programs, would not heed the capability.
    kept = (f"--inh-caps={keep}", f"--ambient-caps={keep}", "--securebits=+no_setuid_fixup")
    return Identity(account, ("setpriv", *ids, *kept, "--"))


def _reaches(identity: Identity, initdb: Path, folder: Path) -> bool:
    """Whether the account can enter the folder, and run ``initdb``, which looks for its other programs."""
    script = 'cd "$1" && exec "$2" --show -D "$1"'
    probe: Sequence[str] = ("sh", "-c", script, "sh", str(folder), str(initdb))
    try:
        done = subprocess.run(
            [*identity.prefix, *probe],
            check=False,
            cwd="/",
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            **identity.options(),
        )
    except OSError:
        return False
    return done.returncode == 0


def identity_for(initdb: Path, folder: Path) -> Identity:
    """Ourselves, or for root an account that can run ``initdb`` on ``folder``, which then belongs to it."""
    if os.geteuid() != 0:
        return Identity()
    account = pwd.getpwnam("nobody")
    candidates = [Identity(account)]
    if shutil.which("setpriv"):
        candidates += [_with_capability(account, capability) for capability in CAPABILITIES]
    candidates[0].own(folder)
    for identity in candidates:
        if _reaches(identity, initdb, folder):
            return identity
    raise StackError(
        f"Postgres does not run as root, and the account 'nobody' cannot reach {folder}: "
        "run make as a normal user, or move the checkout to a folder that other accounts may enter."
    )
