"""The README's snippets run as they stand."""

import re
import subprocess
import sys

import pytest

import mixdata
from conftest import REPOSITORY, SONGS, small_recipe

README = (REPOSITORY / "README.md").read_text()
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder that holds a `demo-dataset`."""
    root = tmp_path_factory.mktemp("readme")
    mixdata.build(small_recipe(), root / "demo-dataset", [SONGS], workers=0, quiet=True)
    return root


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_snippets_run(folder, number):
    # the loader's workers import the main module, so the snippet is a script with a guard, as a user's would be
    body = "\n".join("    " + line for line in SNIPPETS[number].splitlines())
    (folder / "snippet.py").write_text(f"if __name__ == '__main__':\n{body}\n")
    done = subprocess.run([sys.executable, "snippet.py"], cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def test_there_are_snippets_and_every_recipe_and_corpus_is_in_the_tables():
    from mixdata.corpora import corpus_names
    from mixdata.recipes import recipe_names

    assert len(SNIPPETS) == 3
    for name in recipe_names():
        assert f"| `{name}` |" in README
    for name in corpus_names():
        assert re.search(rf"\| `{name}\b", README), name


def test_files_named_in_the_documents_exist():
    for document in ("README.md", "CONTRIBUTING.md"):
        for target in re.findall(r"\]\(([^)#:]+)\)", (REPOSITORY / document).read_text()):
            assert (REPOSITORY / target).exists(), target
