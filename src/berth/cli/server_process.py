"""What `berth serve` becomes (`python -m berth.cli.server_process`): the server, without the command line in its memory."""

import sys
from importlib import import_module

from berth.domain.problem import Problem
from berth.server import serve
from berth.settings import read_settings


def main() -> None:
    """Run until SIGTERM or SIGINT; what keeps the server from starting is said as every command says it."""
    try:
        serve(read_settings())
    except Problem as problem:
        problems = import_module("berth.cli.problems")  # only now: the server must not carry it
        problems.report(problem)
        sys.exit(problems.exit_code_of(problem))


if __name__ == "__main__":
    main()
