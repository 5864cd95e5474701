"""The command line. Every command is one public function call; these files only read arguments and print.

A command lies in the file of its first word: `mixdata recipes show` in recipes.py, `mixdata import` would in import_.py.
A new one is a file like those and a line in the list below `app`. What takes long to import is imported inside its function.
"""

import io
import signal
import sys
import warnings
from typing import Any

import typer
import typer.core

from mixdata.cli import (
    build,
    corpora,
    corpora_check,
    effects,
    index,
    info,
    interchange,
    leaks,
    licence,
    listen,
    normalize,
    recipes,
    stats,
    targets,
    train,
    verify,
)
from mixdata.cli.recipes import recipes_validate
from mixdata.errors import MixdataError

__all__ = ["app", "main", "recipes_validate"]


def _stop(*_: object) -> None:
    raise KeyboardInterrupt


class Interrupted(MixdataError):
    """Ctrl-C."""

    exit_code = 130


class Commands(typer.core.TyperGroup):
    """Gives Ctrl-C its own message and exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the chosen command."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            hint = {"build": "; what is finished is kept, and the same command goes on from there", "train": "; --resume goes on"}
            raise Interrupted(f"interrupted{hint.get(ctx.invoked_subcommand or '', '')}") from None


app = typer.Typer(
    name="mixdata",
    cls=Commands,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Datasets and data generation for deep-learning automatic mixing.\n\nFirst steps: `mixdata build --recipe separated_pseudo`, "
    "then `mixdata stats separated_pseudo` and `mixdata listen separated_pseudo --static listen`.",
)

# `mixdata --help` shows commands in this order, then groups of commands.
app.command()(build.build)
app.command()(stats.stats)
app.command()(verify.verify)
app.command()(info.info)
app.command()(index.index)
app.command()(leaks.leaks)
app.command()(licence.licence)
app.command()(listen.listen)
app.command()(train.train)
app.command()(normalize.normalize)
app.command()(interchange.export)
app.command("import")(interchange.import_)
app.add_typer(recipes.recipes_app, name="recipes")
corpora.corpora_app.command("check")(corpora_check.check)
app.add_typer(corpora.corpora_app, name="corpora")
app.add_typer(effects.effects_app, name="effects")
app.add_typer(targets.targets_app, name="targets")


def main() -> None:
    """Run the command line; a mistake that the user can mend is one clear message and an exit code."""
    for stream in (sys.stdout, sys.stderr):  # a terminal that cannot show a letter shows its code
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    signal.signal(signal.SIGTERM, _stop)
    warnings.formatwarning = lambda message, *where: f"warning: {message}\n"  # a user's, not a programmer's
    try:
        app()
    except MixdataError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(error.exit_code)
