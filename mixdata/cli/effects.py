"""`mixdata effects list|show`."""

import json
from typing import Annotated

import typer

from mixdata.cli.options import Json

effects_app = typer.Typer(no_args_is_help=True, help="List the effects that chains are drawn from, and their parameters.")


@effects_app.command("list")
def effects_list(as_json: Json = False) -> None:
    """List the effects by the names that recipes know them by."""
    from mixdata.effects.tables import effect_facts

    facts = effect_facts()
    print(json.dumps(facts, indent=1) if as_json else "\n".join(f"{fact['effect']:22} {fact['summary']}" for fact in facts))


@effects_app.command("show")
def effects_show(
    effect: Annotated[str, typer.Argument(help="Name, such as compressor.", metavar="NAME")],
    as_json: Json = False,
) -> None:
    """Print what an effect is and its parameters: range, default, and the law that recipes draw it from.

    Example: `mixdata effects show compressor`
    """
    from mixdata.effects.tables import describe_class, render_facts

    facts = describe_class(effect)
    print(json.dumps(facts, indent=1) if as_json else render_facts(facts))
