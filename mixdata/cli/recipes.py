"""`mixdata recipes list|show|validate`."""

import json
from typing import Annotated

import typer

from mixdata.cli.options import Json

recipes_app = typer.Typer(no_args_is_help=True, help="List, show and check recipes.")


@recipes_app.command("list")
def recipes_list(as_json: Json = False) -> None:
    """List the recipes that come with mixdata."""
    from mixdata.recipes import load_recipe, recipe_names

    titles = {name: load_recipe(name).header.title for name in recipe_names()}
    print(json.dumps(titles, indent=1) if as_json else "\n".join(f"{name:24} {title}" for name, title in titles.items()))


@recipes_app.command("show")
def recipes_show(
    recipe: Annotated[str, typer.Argument(help="Name or path.")],
    set_: Annotated[list[str] | None, typer.Option("--set", "-s", help="path=value")] = None,
) -> None:
    """Print a recipe with every default written out.

    Example: `mixdata recipes show separated_pseudo > mine.yaml` to start one of your own.
    """
    from mixdata.recipes import load_recipe

    print(load_recipe(recipe, set_ or ()).to_yaml(), end="")


@recipes_app.command("validate")
def recipes_validate(recipe: Annotated[str, typer.Argument(help="Name or path.")]) -> None:
    """Check a recipe and print every mistake with file, line and path. Exit code 2 if there is one.

    Example: `mixdata recipes validate mine.yaml`
    """
    from mixdata.recipes import load_recipe

    load_recipe(recipe)
    print(f"{recipe}: valid")
