"""`python -m dlsys_code doctor`: what this machine can do for the book."""

import argparse
import sys

from dlsys_code.book import doctor


def main() -> int:
    """Run the command that the arguments name; return its exit code."""
    parser = argparse.ArgumentParser(prog="python -m dlsys_code")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    look = commands.add_parser("doctor", help="what this machine can do for the book")
    look.set_defaults(run=doctor.main)
    return parser.parse_args().run()


if __name__ == "__main__":
    sys.exit(main())
