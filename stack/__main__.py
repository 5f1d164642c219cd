"""`python -m stack up | down | status | demo [--once] | psql … | run …`; the Makefile's targets call these."""

from __future__ import annotations

import argparse
import os
import sys

from stack import env, postgres
from stack.errors import StackError
from stack.lifecycle import Stack
from stack.settings import Settings


def main(words: list[str]) -> int:
    """Do one thing; a foreseen trouble is one message and exit status 1."""
    parser = argparse.ArgumentParser(prog="python -m stack", description=__doc__)
    verbs = parser.add_subparsers(dest="verb", required=True)
    for verb, text in (
        ("up", "start everything"),
        ("down", "stop everything"),
        ("status", "what runs, and where"),
    ):
        verbs.add_parser(verb, help=text)
    demo = verbs.add_parser("demo", help="example data, provisioning, sync, and a report")
    demo.add_argument("--once", action="store_true", help="check that both sides agree, then stop the stack")
    verbs.add_parser("psql", help="psql on GPTWeb's database; what follows is psql's", add_help=False)
    verbs.add_parser("run", help="a command with all that it needs for this stack", add_help=False)
    arguments, rest = parser.parse_known_args(words)
    if rest and arguments.verb not in {"psql", "run"}:
        parser.error(f"unknown: {' '.join(rest)}")
    try:
        return _do(arguments, words[1:])
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted; `make down` stops what still runs.", file=sys.stderr)
    return 1


def _do(arguments: argparse.Namespace, rest: list[str]) -> int:
    stack = Stack(Settings.load(), say=lambda line: print(line, flush=True))
    if arguments.verb == "status":
        return _status(stack)
    if arguments.verb == "psql":
        return _psql(stack, rest)
    if arguments.verb == "run":
        return _run(stack, rest)
    with stack.alone():
        if arguments.verb == "demo":
            from stack.demo import run  # noqa: PLC0415 - the other verbs need none of it

            return run(stack, once=arguments.once)
        if arguments.verb == "up":
            stack.up()
            print(f"Airflow: {stack.settings.airflow_url} (user and password are in {stack.env_file})")
        else:
            print("The stack is down." if stack.down() else "Nothing was running.")
    return 0


def _status(stack: Stack) -> int:
    for name, state in stack.status().items():
        print(f"{name:20} {state}")
    return 0 if stack.is_whole() else 1


def _psql(stack: Stack, words: list[str]) -> int:
    url = env.read(stack.env_file).get("CRM_SYNC_DATABASE_URL")
    if url is None:
        raise StackError("The stack is not up: `make up` starts it.")
    os.execv(postgres.program("psql"), ["psql", url, *words])


def _run(stack: Stack, words: list[str]) -> int:
    if not words:
        raise StackError("Which command? For example: run python -m crm_sync verify")
    try:
        os.execvpe(words[0], words, stack.environment())
    except FileNotFoundError:
        raise StackError(f"There is no command {words[0]}.") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
