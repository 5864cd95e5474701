"""Which blocks are drawn, and how often: SQL on the columns of `examples.parquet`, answered by DuckDB.

    where="activity_vocals > 0.5 AND licence = 'CC-BY-4.0'"
    weights="CASE corpus WHEN 'musdb18hq' THEN 3 ELSE 1 END"

`examples` are the rows of the split; `songs.<column>` is that column of `songs.parquet`, for the block's song. The query is the user's,
the tables may come from anywhere: they are given to a database in memory that reaches neither files nor the network. It works with one
thread and a seed of its own, so that the same query gives the same answer in every process.
"""

import difflib
import re
from collections.abc import Sequence

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mixdata.errors import MixdataError, UsageError
from mixdata.shards.examples import examples_schema
from mixdata.shards.reader import Dataset

SETTINGS: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,  # nor do names in a query find variables of this process
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "temp_directory": "",
    "threads": 1,
}
ROW = "mixdata_row"
UNKNOWN = (  # what DuckDB says of a name that there is not
    re.compile(r'Referenced column "(.*?)" not found'),
    re.compile(r'column named "(.*?)"'),
    re.compile(r'not find key "(.*?)" in struct'),
)


class Query:
    """A condition and an expression for weights. Raises `UsageError` for what is no SQL, or names what is not there."""

    def __init__(self, dataset: Dataset, where: str | None, weights: str | None):
        self._asked = [
            (name, kind, missing, text)
            for name, kind, missing, text in (("where", "BOOLEAN", "FALSE", where), ("weights", "DOUBLE", "'NaN'", weights))
            if text is not None
        ]
        for name, _, _, text in self._asked:
            if not text.strip():
                raise UsageError(f"{name}={text!r}: is empty; leave it out")
        words = "\n".join(text for *_, text in self._asked).lower()
        schema = examples_schema(dataset.storage)
        self._songs = _songs(dataset) if re.search(r'\bsongs"?\s*\.', words) else None
        self._names = [schema.names, [] if self._songs is None else self._songs.column_names]
        for asked in self._asked:
            self._answer(self._with_songs(schema.empty_table()), *asked)
        self.columns = _named(schema.names, words)
        if self._songs is not None:
            self._songs = self._songs.select(_named(self._songs.column_names, f"{words} song"))

    def ask(self, table: pa.Table) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Return which of the table's rows are chosen, and their weights: NaN where there is none. None for what was not asked."""
        table = self._with_songs(table.select([name for name in table.column_names if name in {*self.columns, "song"}]))
        answers = {}
        for name, kind, missing, text in self._asked:
            answers[name] = self._answer(table, name, kind, missing, text)
            if len(answers[name]) != len(table):
                raise UsageError(f"{name}={text!r}: gives {len(answers[name])} values for {len(table)} blocks; it must give one for each")
        return answers.get("where"), answers.get("weights")

    def _with_songs(self, table: pa.Table) -> pa.Table:
        """Return the table with a column `songs` of what `songs.parquet` says of each row's song."""
        if self._songs is None:
            return table
        places = pc.index_in(table["song"].cast(pa.string()), self._songs["song"]).combine_chunks()
        column = self._songs.take(places).to_struct_array()
        return table.drop_columns([name for name in table.column_names if name.lower() == "songs"]).append_column("songs", column)

    def _answer(self, table: pa.Table, name: str, kind: str, missing: str, text: str) -> np.ndarray:
        with duckdb.connect(":memory:", config=SETTINGS) as database:
            try:
                database.execute("SET lock_configuration = true")
                row = pa.array(np.arange(len(table)))  # a window function gives rows back in an order of its own
                database.register("examples", table.append_column(ROW, row))
                database.execute("SELECT setseed(0)")
                statement = f"SELECT {ROW}, coalesce(CAST((\n{text}\n) AS {kind}), {missing}) AS answer FROM examples ORDER BY {ROW}"
                found = database.execute(statement).fetchnumpy()
                if len(found) != 2:
                    raise UsageError(f"{name}={text!r}: gives {len(found) - 1} values for each block; it must give one")
                return np.asarray(found["answer"])
            except duckdb.Error as error:
                raise UsageError(f"{name}={text!r}: {self._explained(str(error))}") from None

    def _explained(self, message: str) -> str:
        for pattern, names in zip(UNKNOWN, (self._names[0], self._names[0], self._names[1]), strict=True):
            if found := pattern.search(message):
                near = difflib.get_close_matches(found[1], names, n=4, cutoff=0.5) or names
                return f"there is no column {found[1]!r}; there is {', '.join(near)} (text stands in single quotes)"
        if ROW in message and "GROUP BY" in message:  # it is asked for beside the answer
            return "gives one value for several blocks; it must give one for each: write … OVER (PARTITION BY …)"
        return " ".join(message.split("\n\nLINE")[0].split())


def _named(names: Sequence[str], words: str) -> list[str]:
    """Return the names that occur in a query, and some that only seem to; COLUMNS(…) may take any."""
    return [name for name in names if name.lower() in words or "columns" in words]


def _songs(dataset: Dataset) -> pa.Table:
    try:
        table = pa.Table.from_pandas(dataset.songs, preserve_index=False)
        return table.set_column(table.column_names.index("song"), "song", table["song"].cast(pa.string()))
    except (ValueError, pa.ArrowException) as error:
        raise MixdataError(f"{dataset.where}: songs.parquet cannot be queried ({error}); run `mixdata verify`") from error
