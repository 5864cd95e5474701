"""Find demucs weights on the Hugging Face hub or in a folder, and decide whether to open them.

demucs itself falls back to downloading a pickle, and checks eight hex digits of a hash. Here a `.th` file, which is a pickle, is
opened only after the SHA-256 of its bytes equals the one in the recipe. A file is read once: what was hashed is what is used.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from importlib import resources
from pathlib import Path
from typing import Any

import yaml
from demucs.apply import BagOfModels
from demucs.hf import DEFAULT_NAMESPACE, hf_repo_name

from mixdata.errors import MixdataError, UsageError
from mixdata.separation.demucs_network import from_safetensors, from_trusted_pickle
from mixdata.text import nearest

SIGNATURE = re.compile(r"[0-9a-z_]+")
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
LONGEST_YAML = 65536
MOST_MODELS = 64

TERMS = "demucs-weights"
RESEARCH = "MIT covers the demucs code; its authors give the weights, trained on MUSDB18 and songs of their own, for research only"
ON_TRAIN = "trained on the MUSDB18 train set: stems separated from its songs are unrealistically clean"
ON_TEST = "trained on the MUSDB18 test set as well: never use its stems where results are measured on MUSDB18"


@dataclass(frozen=True)
class Bag:
    """What a bag's YAML says: signatures, weights per model and stem, seconds per segment."""

    models: list[str]
    weights: list[list[float]] | None = None
    segment: float | None = None


@dataclass(frozen=True)
class Origin:
    """Where weights come from, and under what terms."""

    source: str
    licence: str
    licence_note: str
    terms: str = "unknown"  # id in manifests/licences.yaml


@dataclass(frozen=True)
class Weights:
    """A model, the full SHA-256 of each of its files in order, and what else is to be known of it."""

    model: BagOfModels
    sha256: dict[str, str]
    bag: Bag
    origin: Origin
    ignored: list[str]


def read_weights(model: str, repo: str | None, pinned: Mapping[str, str]) -> Weights:
    """Read a bag of models, or one model by its signature, from a local repository or the Hugging Face hub.

    Raises `UsageError` for names and folders that do not exist, `MixdataError` for files that cannot be trusted or read.
    """
    hub = model.startswith("hf://")
    namespace, slash, name = model.removeprefix("hf://").rpartition("/")
    if not NAME.fullmatch(name) or (slash and not (hub and NAME.fullmatch(namespace))):
        raise UsageError(f"demucs: {model!r} is no model name: write htdemucs, htdemucs_ft, hf://user/name, or a signature with `repo`")
    if repo is not None and not hub:
        return _from_folder(Path(repo), name, pinned)
    if not hub and name not in known_names():
        close = nearest(name, known_names())
        raise UsageError(
            f"demucs: {name!r} is none of its models{f'; did you mean {close!r}?' if close else ''} (known: {', '.join(known_names())}). "
            "Another one on the hub is hf://user/name; one in a folder: --set separate.repo=FOLDER"
        )
    return _from_hub(namespace or DEFAULT_NAMESPACE, name, pinned)


def known_names() -> list[str]:
    """Return the names of the models that the demucs package knows."""
    return sorted(file.name.removesuffix(".yaml") for file in resources.files("demucs.remote").iterdir() if file.name.endswith(".yaml"))


def warnings_for(model: str) -> list[str]:
    """Return what is known about the training data of a released model, as far as it matters for a training set."""
    name = model.removeprefix("hf://").removeprefix(f"{DEFAULT_NAMESPACE}/")
    if name not in known_names():
        return []
    return [ON_TRAIN, ON_TEST] if name.startswith("mdx_extra") else [ON_TRAIN]


def training_data(model: str) -> tuple[str, ...]:
    """Return what a released model was trained on, as the README of demucs tells; nothing for others."""
    name = model.removeprefix("hf://").removeprefix(f"{DEFAULT_NAMESPACE}/")
    if name not in known_names():
        return ()
    more = name.startswith(("htdemucs", "hdemucs_mmi", "mdx_extra"))
    test = name.startswith("mdx_extra")
    return ("MUSDB18-HQ train", *(["MUSDB18-HQ test"] if test else []), *(["further songs of its authors"] if more else []))


def _from_hub(namespace: str, name: str, pinned: Mapping[str, str]) -> Weights:
    """Read `<name>.yaml` and `<signature>.safetensors` of a hub repository, named and laid out as demucs does; never a pickle."""
    repo_id = f"{namespace}/{hf_repo_name(name)}"

    def fetch(file: str) -> Path:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.utils import logging

        logging.set_verbosity_error()  # its retries are told once, below
        try:
            return Path(hf_hub_download(repo_id, file))
        except Exception as error:  # the client raises errors of several libraries; every one means: no file
            reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise MixdataError(
                f"demucs: cannot get {file} of {repo_id} from the Hugging Face hub ({type(error).__name__}: {reason}). "
                f"With a network: `hf download {repo_id}` once, it stays in the cache (HF_HOME). Without: copy the model's files "
                f"into a folder and give it by --set separate.repo=FOLDER. Models that demucs knows: {', '.join(known_names())}"
            ) from error

    bag = _read_bag(fetch(f"{name}.yaml"))
    if namespace == DEFAULT_NAMESPACE:
        origin = Origin(f"hf://{repo_id}", "research", RESEARCH, TERMS)
    else:
        origin = Origin(f"hf://{repo_id}", "unknown", f"not known: see the card of {repo_id}")
    return _assembled(bag, lambda signature: fetch(f"{signature}.safetensors"), pinned, origin)


def _from_folder(folder: Path, name: str, pinned: Mapping[str, str]) -> Weights:
    """Read a local repository: a signature's own file first, then a bag, as demucs does."""
    if not folder.is_dir():
        raise UsageError(f"demucs: the model repository {folder} is no folder")
    files = {path.name: path for path in sorted(folder.iterdir()) if path.is_file()}

    def find(signature: str) -> Path:
        pickles = [file for file in files if re.fullmatch(rf"{signature}(-[0-9a-f]{{8,64}})?\.th", file)]
        if f"{signature}.safetensors" in files:
            return files[f"{signature}.safetensors"]
        if len(pickles) != 1:
            what = f"has {len(pickles)} files for it ({', '.join(pickles)}): delete all but one" if pickles else "has no file for it"
            raise UsageError(f"demucs: model {signature}: {folder} {what}")
        return files[pickles[0]]

    origin = Origin("local repository", "unknown", "weights from a local repository: set down where they are from")
    if name in known_names():
        origin = replace(origin, licence="research", licence_note=RESEARCH, terms=TERMS)
    if SIGNATURE.fullmatch(name) and any(re.fullmatch(rf"{name}(-[0-9a-f]{{8,64}})?\.(th|safetensors)", file) for file in files):
        return _assembled(Bag([name]), find, pinned, origin)
    if f"{name}.yaml" not in files:
        there = ", ".join(file.removesuffix(".yaml") for file in files if file.endswith(".yaml")) or "none"
        raise UsageError(f"demucs: {folder} has neither a bag {name}.yaml nor a model {name}; bags there: {there}")
    return _assembled(_read_bag(files[f"{name}.yaml"]), find, pinned, origin)


def _read_bag(path: Path) -> Bag:
    """Read a bag's YAML: the keys models, weights and segment, nothing else."""
    if path.stat().st_size > LONGEST_YAML:
        raise MixdataError(f"demucs: {path} is too long for a bag of models")
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise MixdataError(f"demucs: {path} is not readable YAML: {error}") from error
    if not isinstance(found, dict) or not set(found) <= {"models", "weights", "segment"}:
        raise MixdataError(f"demucs: {path} is no bag of models: it must have the keys models, weights, segment and no other")
    models, weights, segment = found.get("models"), found.get("weights"), found.get("segment")
    if not isinstance(models, list) or not 1 <= len(models) <= MOST_MODELS:
        raise MixdataError(f"demucs: {path}: models must be a list of 1 to {MOST_MODELS} signatures")
    if not all(isinstance(m, str) and SIGNATURE.fullmatch(m) for m in models):
        raise MixdataError(f"demucs: {path}: a signature is of the letters a-z, digits and _, in quotes; got {models!r:.200}")
    if weights is not None:
        if not isinstance(weights, list) or not all(isinstance(row, list) and all(map(_is_weight, row)) for row in weights):
            raise MixdataError(f"demucs: {path}: weights must be a list per model of numbers from 0 to 1000, one per stem")
        weights = [[float(w) for w in row] for row in weights]
    if segment is not None and not (_is_weight(segment) and 0.1 <= segment <= 600):
        raise MixdataError(f"demucs: {path}: segment must be 0.1 to 600 seconds, got {segment!r:.100}")
    return Bag(models, weights, segment)


def _is_weight(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1000


def _assembled(bag: Bag, find: Callable[[str], Path], pinned: Mapping[str, str], origin: Origin) -> Weights:
    unused = sorted(set(pinned) - set(bag.models))
    if unused:
        raise UsageError(f"demucs: weights_sha256 names {', '.join(unused)}, but the model consists of {', '.join(bag.models)}")
    read = {signature: _read_model(find(signature), signature, pinned.get(signature)) for signature in dict.fromkeys(bag.models)}
    models = [read[signature][0] for signature in bag.models]
    first = models[0]
    if any(getattr(other, key) != getattr(first, key) for other in models for key in ("sources", "samplerate", "audio_channels")):
        raise MixdataError(f"demucs: the models of the bag ({', '.join(bag.models)}) differ in stems, sample rate or channels")
    if bag.weights is not None:
        if len(bag.weights) != len(models) or any(len(row) != len(first.sources) for row in bag.weights):
            raise MixdataError(f"demucs: the bag must have {len(models)} rows of {len(first.sources)} weights (models × stems)")
        if any(sum(column) <= 0 for column in zip(*bag.weights, strict=True)):
            raise MixdataError("demucs: the bag gives one of its stems no weight in any model")
    hashes = {signature: sha256 for signature, (_, sha256, _) in read.items()}
    ignored = sorted({name for _, _, names in read.values() for name in names})
    return Weights(BagOfModels(models, bag.weights, bag.segment), hashes, bag, origin, ignored)


def _read_model(path: Path, signature: str, pinned: str | None) -> tuple[Any, str, list[str]]:
    """Read one model's file; return the network, the file's SHA-256 and the arguments that were left out."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise MixdataError(f"demucs: cannot read {path}: {error.strerror or error}") from error
    sha256 = hashlib.sha256(data).hexdigest()
    if pinned is not None and sha256 != pinned:
        raise MixdataError(
            f"demucs: {path} is not the file that the recipe names, so it was not opened: "
            f"its SHA-256 is {sha256}, weights_sha256 says {pinned}"
        )
    if path.suffix == ".safetensors":
        model, ignored = from_safetensors(data, str(path))
        return model, sha256, ignored
    if pinned is None:
        raise MixdataError(
            f"demucs: {path} is a pickle, which can run any code when it is opened, so it was not. If you know where it is from and "
            f'trust it, add to the separate step of the recipe: weights_sha256: {{"{signature}": "{sha256}"}}'
        )
    named = path.stem.rpartition("-")[2] if "-" in path.stem else ""
    if not sha256.startswith(named):
        raise MixdataError(f"demucs: {path} is damaged: its name says that its SHA-256 begins with {named}, it is {sha256}")
    model, ignored = from_trusted_pickle(data, str(path))
    return model, sha256, ignored
