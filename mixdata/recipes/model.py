"""The recipe: what a person wrote, checked, with every default filled in."""

import hashlib
import json
import math
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, TypeAdapter, ValidationError, model_validator

from mixdata.errors import RecipeError, UsageError
from mixdata.licences import Use
from mixdata.params import Params
from mixdata.recipes import strict_yaml
from mixdata.recipes.registry import STEPS, Step
from mixdata.resources import folder, resource
from mixdata.shards.format import CODECS, FORMAT_VERSION
from mixdata.song import Song
from mixdata.text import nearest

SPLITS = {"train": 0.8, "valid": 0.1, "test": 0.1}
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,15})?)\s*(kB|MB|GB|KiB|MiB|GiB)?")
_UNITS = {None: 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def parse_size(value: Any) -> Any:
    """Turn `256MB` into bytes; whole numbers are bytes already."""
    if not isinstance(value, str):
        return value
    match = _SIZE.fullmatch(value.strip())
    if match is None:
        raise ValueError(f"{value!r} is not a size; write it like 256MB or 1GiB")
    return round(float(match[1]) * _UNITS[match[2]])


class Output(Params):
    """How examples are stored."""

    codec: str = "flac16"
    shard: Annotated[int, BeforeValidator(parse_size), Field(ge=1000, le=10**12)] = 256_000_000

    @model_validator(mode="after")
    def _known_codec(self) -> "Output":
        if self.codec not in CODECS:
            raise ValueError(f"unknown codec {self.codec!r}: use one of {', '.join(CODECS)}")
        return self


LeakName = Annotated[str, Field(pattern=r"^(all|(artist|song|recording|trained_on):.+)$")]


class Header(Params):
    """Everything in a recipe but its steps."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,39}$")]
    title: str = ""
    corpora: Annotated[list[str], Field(min_length=1, default_factory=lambda: ["demo"])]
    sample_rate: Annotated[int, Field(ge=8000, le=192_000)] = 44_100
    max_song_seconds: Annotated[float, Field(gt=0, le=86_400)] = 1800.0  # a song is held in memory whole, a dozen times over
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    licence: Use = "any"  # what the dataset shall be good for; decides which songs are used, not what is made of them
    splits: Annotated[dict[str, Annotated[float, Field(ge=0, le=1)]], Field(default_factory=lambda: dict(SPLITS))]
    allow_leaks: Annotated[list[LeakName], Field(default_factory=list)]  # between splits, by name; what is built of a song stays the same
    leak_check: Literal["audio", "names"] = "audio"  # of several corpora: whether they are listened to as well
    output: Output = Output()

    @model_validator(mode="after")
    def _splits_add_up(self) -> "Header":
        unknown = set(self.splits) - {"train", "valid", "test"}
        if unknown:
            raise ValueError(f"splits are train, valid and test, not {', '.join(sorted(unknown))}")
        if abs(sum(self.splits.values()) - 1) > 1e-9:
            raise ValueError(f"the splits' shares add up to {sum(self.splits.values()):g}, not 1")
        return self


class StepCall:
    """One step of a recipe: the registered step, the name it goes by here (`as:`), and its checked parameters."""

    def __init__(self, step: Step, label: str, params: Any):
        self.step, self.label, self.params = step, label, params

    def resolved(self, local: bool = False) -> dict[str, Any]:
        """Return the step as it would be written with every default; what holds for this machine only if `local`."""
        label = {} if self.label == self.step.name else {"as": self.label}
        params = self.params if local else self.params.portable()
        return {self.step.name: params.model_dump(mode="json", exclude=None if local else set(self.params.local)), **label}


class Recipe:
    """A checked recipe. `load_recipe` makes one."""

    def __init__(self, header: Header, steps: list[StepCall], source: str):
        self.header, self.steps, self.source = header, steps, source

    @property
    def name(self) -> str:
        return self.header.name

    def resolved(self, local: bool = False) -> dict[str, Any]:
        """Return the recipe as plain data with every default written out.

        Paths and devices of this machine (and corpora's roots) are in it only if `local`.
        """
        header = self.header.model_dump(mode="json")
        if not local:
            header["corpora"] = [spec.partition(":")[0] for spec in header["corpora"]]
        output = header.pop("output")
        return {**header, "steps": [call.resolved(local) for call in self.steps], "output": output}

    def with_corpora(self, specs: list[str]) -> "Recipe":
        """Return the recipe with these corpora in place of its own."""
        return Recipe(self.header.model_copy(update={"corpora": specs}), self.steps, self.source)

    def allowing(self, leaks: list[str]) -> "Recipe":
        """Return the recipe with these leaks allowed as well."""
        try:
            allowed = TypeAdapter(list[LeakName]).validate_python([*self.header.allow_leaks, *leaks])
        except ValidationError as error:
            wrong = ", ".join(str(each["input"]) for each in error.errors())
            raise UsageError(
                f"--allow-leak {wrong}: no name of a leak; names are all, artist:…, song:…, recording:… or trained_on:…, as printed"
            ) from error
        return Recipe(self.header.model_copy(update={"allow_leaks": allowed}), self.steps, self.source)

    def to_yaml(self) -> str:
        """Return the resolved recipe as YAML that `load_recipe` reads back to the same recipe."""
        return strict_yaml.dump(self.resolved())

    def fingerprints(self) -> dict[str, str]:
        """Return what decides the steps' output besides their parameters, by label: hashes of weights and the like."""
        return {call.label: call.step.fingerprint(call.params) for call in self.steps if call.step.fingerprint is not None}

    def identity(self) -> str:
        """Hash of all that decides the bytes but the songs: recipe, format, step versions, weights."""
        resolved = self.resolved()
        for without in ("corpora", "title", "licence", "allow_leaks", "leak_check"):
            del resolved[without]
        parts = {
            "format": FORMAT_VERSION,
            "recipe": resolved,
            "versions": {call.label: call.step.version for call in self.steps},
            "fingerprints": self.fingerprints(),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def pinned(self) -> "Recipe":
        """Return the recipe with the hashes of everything it loads written into it. Loads weights."""
        calls = [StepCall(call.step, call.label, call.step.pin(call.params) if call.step.pin else call.params) for call in self.steps]
        return Recipe(self.header, calls, self.source)

    def song_fingerprints(self, song: Song) -> list[str]:
        """Return what decides this song's examples besides recipe and song, such as the hashes of stems separated elsewhere.

        Raises `SongError` where that cannot be read.
        """
        return [call.step.song_fingerprint(call.params, song) for call in self.steps if call.step.song_fingerprint is not None]

    def roles(self) -> dict[str, list[str]]:
        """Return the roles and stems of every example, in the order in which they are stored; none for a role in `variable`."""
        made: dict[str, list[str]] = {}
        for call in self.steps:
            if call.step.roles is not None:
                made = call.step.roles(call.params, made)
        return made

    def licences(self) -> dict[str, str]:
        """Return the licences of what goes into the examples besides the songs, by step and name. Loads weights."""
        return {f"{call.label}: {name}": id for call in self.steps for name, id in call.step.licences(call.params).items()}

    def variable(self) -> list[str]:
        """Return the roles whose stems differ from song to song: t000, t001, …"""
        return [role for call in self.steps for role in call.step.variable(call.params)]

    def song_tracks(self, song: Song) -> int:
        """Return how many stems an example of this song has in the roles in `variable`. Raises `SongError` where it can have none."""
        return sum(call.step.song_tracks(call.params, song) for call in self.steps if call.step.song_tracks is not None)

    def sums(self) -> list[str]:
        """Return the roles whose stems sum to their mixture."""
        return [role for call in self.steps for role in call.step.sums(call.params)]

    @property
    def variants(self) -> int:
        """How many examples are made of each block."""
        return math.prod(getattr(call.params, "variants", 1) for call in self.steps)

    def single(self) -> "Recipe":
        """Return the recipe with one variant of each block."""
        once = [StepCall(call.step, call.label, _single(call.params)) for call in self.steps]
        return Recipe(self.header, once, self.source)

    def files(self) -> dict[str, bytes]:
        """Return the small files that travel with the dataset, by name."""
        return {name: data for call in self.steps for name, data in call.step.files(call.params).items()}

    def warm_up(self) -> None:
        """Do once what every worker would otherwise do at its start, such as compiling."""
        for call in self.steps:
            call.step.warm_up(call.params)

    @property
    def continuous(self) -> bool:
        """Whether the blocks of a song join without a seam: nothing is drawn or fitted per block."""
        return all(call.step.continuous(call.params) for call in self.steps)


def _single(params: Any) -> Any:
    return params.model_copy(update={"variants": 1}) if getattr(params, "variants", 1) > 1 else params


def recipe_names() -> list[str]:
    """Names of the recipes that come with mixdata."""
    return sorted(path.stem for path in folder("recipes").glob("*.yaml"))


def load_recipe(name_or_path: str | Path, settings: Iterable[str] = (), overrides: dict[str, Any] | None = None) -> Recipe:
    """Load a recipe by name or from a file and check it.

    `overrides` replaces values by their paths, a step's whole parameters under its name; then `settings`, `path=value` texts as for
    `--set`, are applied in their order.
    Raises `RecipeError` that lists every mistake with file, line and path.
    """
    text, source, folder = _find(name_or_path)
    document = strict_yaml.load(text, source)
    if not isinstance(document.value, dict):
        raise RecipeError(f"{source}: a recipe is a mapping with name, steps and output; this is {_kind(document.value)}")
    for path, value in (overrides or {}).items():
        _assign(document.value, path.split("."), value, source, path)
    for setting in settings:
        _apply(document.value, setting, source)
    recipe = check_recipe(document, source)
    calls = [StepCall(call.step, call.label, call.params.located(folder)) for call in recipe.steps]
    return Recipe(recipe.header, calls, source)


def recipe_from_data(data: dict[str, Any], source: str = "recipe") -> Recipe:
    """Check a recipe given as plain data, as `Recipe.resolved` returns it."""
    return check_recipe(strict_yaml.Document(data), source)


def check_recipe(document: strict_yaml.Document, source: str) -> Recipe:
    """Check a loaded document. Raises one `RecipeError` with all mistakes."""
    problems: list[str] = []

    def complain(path: strict_yaml.Path, message: str) -> None:
        line = next((document.lines[path[:n]] for n in range(len(path), -1, -1) if path[:n] in document.lines), 1)
        where = ".".join(str(part) for part in path)
        problems.append(f"  {source}:{line}: {where + ': ' if where else ''}{message}")

    data = dict(document.value)
    raw_steps = data.pop("steps", None)
    header = _checked(TypeAdapter(Header), data, (), complain, extra=["steps"])
    calls = _checked_steps(raw_steps, complain)
    if header is not None and calls and not problems:
        _check_order(calls, header.sample_rate, complain)
    if problems or header is None:
        count = "one mistake" if len(problems) == 1 else f"{len(problems)} mistakes"
        raise RecipeError(f"{source} has {count}:\n" + "\n".join(problems))
    return Recipe(header, calls, source)


def _checked_steps(raw: Any, complain: Any) -> list[StepCall]:
    import mixdata.recipes.steps  # noqa: F401  registers the steps; here, because the steps import this package

    if not isinstance(raw, list) or not raw:
        complain(("steps",), "a recipe needs a list of steps")
        return []
    calls: list[StepCall] = []
    for number, entry in enumerate(raw):
        path: strict_yaml.Path = ("steps", number)
        if isinstance(entry, str):  # a step with nothing to set: `- separate`
            entry = {entry: {}}
        label = entry.get("as") if isinstance(entry, dict) else None
        names = [key for key in entry if key != "as"] if isinstance(entry, dict) else []
        if len(names) != 1 or not (label is None or isinstance(label, str)):
            complain(path, "a step is written `- name: {parameters}`, with `as: other_name` beside it where it is repeated")
            continue
        name = names[0]
        if name not in STEPS:
            complain((*path, name), f"unknown step{_nearest(name, STEPS)}")
            continue
        step = STEPS[name]
        params = _checked(step.schema, {} if entry[name] is None else entry[name], (*path, name), complain)
        if params is None:
            continue
        if (label or name) in [call.label for call in calls]:
            complain(path, f"two steps go by the name {label or name!r}; give one another name with `as:`")
        calls.append(StepCall(step, label or name, params))
    return calls


def _check_order(calls: list[StepCall], sample_rate: int, complain: Any) -> None:
    scopes = [call.step.scope for call in calls]
    if scopes.count("cut") != 1:
        complain(("steps",), "a recipe cuts songs into examples exactly once: it needs one `segment` step")
    cut = scopes.index("cut") if "cut" in scopes else len(scopes)
    made: dict[str, str] = {}  # what is there, and the step that made it
    for number, call in enumerate(calls):
        path: strict_yaml.Path = ("steps", number)
        if call.step.scope == "song" and number > cut:
            complain(path, f"{call.label} works on whole songs and must stand before {calls[cut].label}")
        if call.step.scope == "example" and number < cut:
            complain(path, f"{call.label} works on examples and must stand after {calls[cut].label}")
        missing = sorted(need for need in call.step.needs(call.params) if not made.keys() & set(need.split("|")))
        if missing:
            complain(path, f"{call.label} needs {_provider(missing[0], call.step.scope)}")
        for name in sorted(call.step.makes & made.keys()):
            complain(path, f"{call.label} makes {name!r}, which {made[name]} made already; leave one of them out")
            break
        made |= dict.fromkeys(call.step.makes, call.label)
        if not missing:
            for message in call.step.fits(call.params, sample_rate, {earlier.step.name: earlier.params for earlier in calls[:number]}):
                complain((*path, call.step.name), message)


def _provider(name: str, scope: str) -> str:
    """Say of a thing that is not there which step would make it before a step of this scope."""
    wanted = name.split("|")
    early = [step for step in STEPS.values() if scope == "example" or step.scope != "example"]
    makers = [step.name for step in early if step.makes & set(wanted)]
    if makers:
        return f"{' or '.join(map(repr, wanted))}: put {' or '.join(makers)} before it"
    return f"what no step makes:{_nearest(name, {made for step in STEPS.values() for made in step.makes})}"


def _checked(schema: TypeAdapter[Any], data: Any, path: strict_yaml.Path, complain: Any, extra: Iterable[str] = ()) -> Any:
    try:
        return schema.validate_python(data)
    except ValidationError as error:
        known = [*_keys(schema.json_schema()), *extra]
        for item in error.errors():
            loc, message = _readable(item, data, known)
            complain((*path, *loc), message)
        return None


def _keys(schema: Any) -> list[str]:
    """Return every key that the schema knows, at any depth."""
    if isinstance(schema, list):
        return [key for item in schema for key in _keys(item)]
    if not isinstance(schema, dict):
        return []
    return [*schema.get("properties", {}), *[key for item in schema.values() for key in _keys(item)]]


def _readable(item: Any, data: Any, known: list[str]) -> tuple[strict_yaml.Path, str]:
    """Turn one pydantic error into a path that exists in the file and a message for people."""
    loc: list[str | int] = []
    value = data
    for part in item["loc"]:  # tags of unions are in pydantic's path but not in the file
        if (isinstance(value, dict) and part in value) or (isinstance(value, list) and isinstance(part, int) and part < len(value)):
            value = value[part]
            loc.append(part)
        elif part == item["loc"][-1] and item["type"] == "missing":
            loc.append(part)
    if item["type"] == "extra_forbidden":
        return tuple(loc), f"unknown key{_nearest(str(loc[-1]), known)}"
    if item["type"] == "missing":
        return tuple(loc), "is missing"
    message = item["msg"].removeprefix("Value error, ")
    return tuple(loc), f"{message[0].lower() + message[1:]}, got {_short(value)}"


def _nearest(name: str, known: Iterable[str]) -> str:
    known = list(known)
    close = nearest(name, known)
    if close:
        return f" {name!r}; did you mean {close!r}?"
    return f" {name!r}" + (f"; known: {', '.join(sorted(known))}" if known else "")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _kind(value: Any) -> str:
    return {list: "a list", str: "a text", type(None): "empty"}.get(type(value), f"a {type(value).__name__}")


def _find(name_or_path: str | Path) -> tuple[str, str, Path]:
    """Return a recipe's text, what to call it in messages, and the folder that it lies in."""
    text = str(name_or_path)
    path = Path(text)
    if path.suffix in (".yaml", ".yml") or "/" in text:
        source = str(path)
    elif text in recipe_names():
        path, source = resource("recipes", f"{text}.yaml"), f"recipes/{text}.yaml"
    else:
        raise UsageError(f"unknown recipe{_nearest(text, recipe_names())} (a file of your own is given by its path, ending in .yaml)")
    try:
        return path.read_text(encoding="utf-8"), source, path.parent
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{source}: cannot read the recipe: {error}") from None


def _apply(recipe: dict[str, Any], setting: str, source: str) -> None:
    path, value = strict_yaml.parse_setting(setting)
    _assign(recipe, path.split("."), value, source, path)


def _assign(recipe: dict[str, Any], parts: list[str], value: Any, source: str, path: str) -> None:
    """Set a value by its path; the first part is a top-level key or the name of a step."""
    target: Any = recipe
    if parts[0] not in Header.model_fields and parts[0] != "steps":
        labels: list[str] = []
        steps = recipe.get("steps")
        for number, entry in enumerate(steps if isinstance(steps, list) else []):
            if isinstance(entry, str):
                recipe["steps"][number] = entry = {entry: {}}
            if isinstance(entry, dict):
                name = next((key for key in entry if key != "as"), "")
                labels.append(str(entry.get("as") or name))
                if labels[-1] == parts[0]:
                    target, parts = entry, [name, *parts[1:]]
                    break
        else:
            known = [*Header.model_fields, *labels]
            raise UsageError(f"--set {path}: {source} has no step or key{_nearest(parts[0], known)}")
    for part in parts[:-1]:
        if isinstance(target.get(part), list):
            way = "name a step as in gate.relative_lu=30" if part == "steps" else "set it as a whole, as in a=[1, 2]"
            raise UsageError(f"--set {path}: {part} is a list; {way}")
        if not isinstance(target.get(part), dict):
            target[part] = {}
        target = target[part]
    target[parts[-1]] = value
