"""Reads docker-compose.yaml with Compose's own config command, as production would; part of `make check`.

Without Compose on the machine (CI installs Debian's docker-compose 1.29) the check says so and passes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys

from stack.settings import ROOT

FILE = ROOT / "docker-compose.yaml"


def required_variables() -> set[str]:
    """The variables without which Compose refuses the file."""
    return set(re.findall(r"\$\{(\w+):\?", FILE.read_text()))


def compose() -> list[str] | None:
    """Compose's command on this machine, the old one first: what it reads, the new one reads too."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    if shutil.which("docker"):
        plugin = subprocess.run(["docker", "compose", "version"], check=False, capture_output=True)
        return ["docker", "compose"] if plugin.returncode == 0 else None
    return None


def config(
    command: list[str], variables: set[str], profile: str | None = None
) -> subprocess.CompletedProcess[str]:
    """What Compose says of the file when these variables are set."""
    kept = {name: value for name, value in os.environ.items() if name not in required_variables()}
    profiles = ["--profile", profile] if profile else []
    return subprocess.run(
        [*command, "--project-directory", str(ROOT), "-f", str(FILE), *profiles, "config"],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=kept | dict.fromkeys(variables, "set"),
    )


def main() -> int:
    """Check the file with and without the demo profile."""
    command = compose()
    if command is None:
        print(
            "docker-compose.yaml: not checked, Compose is not installed (Debian: apt install docker-compose)."
        )
        return 0
    for profile in (None, "demo"):
        done = config(command, required_variables(), profile)
        if done.returncode:
            print(f"docker-compose.yaml: {done.stderr.strip()}", file=sys.stderr)
            return 1
    print("docker-compose.yaml: good.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
