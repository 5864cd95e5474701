"""Recipes: the model, the steps, the registry. The YAML files lie in the top-level `recipes/`."""

from mixdata.recipes.model import Recipe, load_recipe, recipe_names

__all__ = ["Recipe", "load_recipe", "recipe_names"]
