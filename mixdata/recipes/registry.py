"""The steps that recipes are made of: a function and a decorator each."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import TypeAdapter

from mixdata.song import Song

Scope = Literal["song", "cut", "example"]


@dataclass(frozen=True)
class Step:
    """A registered step.

    `scope` says what it works on: a whole song, the cut of a song into examples (one per recipe), or single examples
    after the cut. `version` goes into the identity of what was built: raise it when the step's output changes.
    `needs(params)` names what must be there before the step runs and `makes` what is there after it: roles ("input", "target"), a stem
    that a step asks for by name ("target.mixture"), and "<role>.active", whether each stem of the role exists; "input|dry" needs either.
    No two steps make the same. `roles(params, made)` returns the roles and stems of an example after the step, in their order, from those
    that were `made` before it; `sums(params)` names the roles whose stems sum to their `mixture`.
    `fingerprint(params)` adds what else decides the output (weights, impulse responses), `song_fingerprint(params, song)` what else
    it reads for one song; `pin(params)` writes such hashes into the parameters. `continuous(params)` says whether the blocks of a song
    still join without a seam. `warm_up(params)` does once, before there are workers, what each would otherwise do at its start.
    `variable(params)` names the roles whose stems differ from song to song; `roles` gives such a role as an empty list, and
    `song_tracks(params, song)` returns how many a song has of it.
    `fits(params, sample_rate, earlier)` says what does not go with the rate and the parameters of the steps before, by their names.
    `files(params)` are small files, by name, that travel with the dataset because its use needs them. `licences(params)` are the licences
    of what goes into the output besides the songs, such as a separator's weights, by name.
    """

    name: str
    run: Callable[..., Any]
    schema: TypeAdapter[Any]
    version: int
    scope: Scope
    needs: Callable[[Any], set[str]]
    makes: frozenset[str]
    fingerprint: Callable[[Any], str] | None
    song_fingerprint: Callable[[Any, Song], str] | None
    pin: Callable[[Any], Any] | None
    roles: Callable[[Any, dict[str, list[str]]], dict[str, list[str]]] | None
    continuous: Callable[[Any], bool]
    sums: Callable[[Any], list[str]]
    warm_up: Callable[[Any], None]
    fits: Callable[[Any, int, dict[str, Any]], Iterable[str]]
    files: Callable[[Any], dict[str, bytes]]
    variable: Callable[[Any], list[str]]
    song_tracks: Callable[[Any, Song], int] | None
    licences: Callable[[Any], dict[str, str]]
    summary: str


STEPS: dict[str, Step] = {}


def step(
    name: str,
    params: Any,
    *,
    version: int = 1,
    scope: Scope = "song",
    needs: Callable[[Any], set[str]] = lambda params: set(),
    makes: Iterable[str] = (),
    fingerprint: Callable[[Any], str] | None = None,
    song_fingerprint: Callable[[Any, Song], str] | None = None,
    pin: Callable[[Any], Any] | None = None,
    roles: Callable[[Any, dict[str, list[str]]], dict[str, list[str]]] | None = None,
    continuous: Callable[[Any], bool] = lambda params: True,
    sums: Callable[[Any], list[str]] = lambda params: [],
    warm_up: Callable[[Any], None] = lambda params: None,
    fits: Callable[[Any, int, dict[str, Any]], Iterable[str]] = lambda params, sample_rate, earlier: (),
    files: Callable[[Any], dict[str, bytes]] = lambda params: {},
    variable: Callable[[Any], list[str]] = lambda params: [],
    song_tracks: Callable[[Any, Song], int] | None = None,
    licences: Callable[[Any], dict[str, str]] = lambda params: {},
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a step: `@step("gate", Gate)` above `def gate(work, params): …`."""

    def register(run: Callable[..., Any]) -> Callable[..., Any]:
        summary = (run.__doc__ or "").strip().splitlines()[0] if run.__doc__ else ""
        schema = TypeAdapter(params)
        given = (needs, frozenset(makes), fingerprint, song_fingerprint, pin, roles, continuous, sums, warm_up, fits, files)
        STEPS[name] = Step(name, run, schema, version, scope, *given, variable, song_tracks, licences, summary)
        return run

    return register
