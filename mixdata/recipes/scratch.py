"""Audio that waits on disk: a song may have more tracks than memory holds at once."""

import errno
import tempfile
from pathlib import Path

import numpy as np

from mixdata.errors import MixdataError
from mixdata.text import size


def on_disk(audio: np.ndarray, folder: Path | None) -> np.ndarray:
    """Return the same array, mapped from a file without a name in `folder` (null: the system's place for temporary files).

    The file is gone when the array is, and when the process dies. Raises `MixdataError` where there is no room for it.
    """
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(np.ascontiguousarray(audio).data)
            file.flush()
            return np.memmap(file, audio.dtype, "c", shape=audio.shape).view(np.ndarray)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS):
            raise
        where = folder or tempfile.gettempdir()
        raise MixdataError(
            f"{where}: a song's tracks wait here while they are in work, and {size(audio.nbytes)} cannot be written "
            f"({error.strerror}); free some space, use fewer --workers, or name another folder with --cache-dir"
        ) from error
