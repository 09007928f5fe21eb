"""``python -m teleclaude.assist doctor | init | demo``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from teleclaude.cli.failure import BROKEN_PIPE, INTERRUPTED, REFUSED, CliError
from teleclaude.cli.output import standard_output


def main(argv: Sequence[str]) -> int:
    """Answers the exit code."""
    args = _parser().parse_args(argv)
    out = standard_output()
    try:
        match args.program:
            case "doctor":
                from teleclaude.assist.doctor import doctor  # noqa: PLC0415 (each program needs only its own)

                return doctor(out, os.environ, config=args.config, echo=args.echo, as_json=args.json)
            case "init":
                from teleclaude.assist.init import Setup, init_telegram  # noqa: PLC0415

                setup = Setup(config=args.config, token_file=args.token_file, base_url=args.base_url, role=args.role)
                return init_telegram(out, os.environ, setup)
            case _:
                from teleclaude.assist.demo import demo_telegram  # noqa: PLC0415

                return demo_telegram(out, os.environ)
    except ModuleNotFoundError as error:
        out.note(f"{error.name} is not installed; pip install '.[all]' brings it")
        return REFUSED
    except CliError as error:
        out.note(str(error))
        return error.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return BROKEN_PIPE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="teleclaude.assist", allow_abbrev=False)
    programs = parser.add_subparsers(dest="program", required=True)
    doctor = programs.add_parser("doctor", allow_abbrev=False)
    doctor.add_argument("--config", type=Path)
    doctor.add_argument("--echo", action="store_true")
    doctor.add_argument("--json", action="store_true")
    init = programs.add_parser("init", allow_abbrev=False)
    init.add_argument("what", choices=("telegram",))
    init.add_argument("--config", type=Path)
    init.add_argument("--token-file", type=Path)
    init.add_argument("--base-url", default=None)
    init.add_argument("--role", default="owner")
    demo = programs.add_parser("demo", allow_abbrev=False)
    demo.add_argument("what", choices=("telegram",))
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
