"""A folder that one process at a time works in."""

from __future__ import annotations

import os
import warnings
from contextlib import suppress
from io import FileIO
from pathlib import Path

from dextr.common.errors import UserError

NAME = ".lock"


def lock_folder(folder: Path) -> FileIO:
    """Return an open file: until it is closed, or this process ends in any way, the folder is ours.

    The folder is made if it is missing; where the system has no such locks, it stays unlocked.
    Child processes do not inherit the lock, as they would one of `filelock`: workers that outlive a
    killed program for some seconds do not keep it.

    Raises:
        ValueError: Another process has the folder.
    """
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / NAME).open("a+b", buffering=0)
        try:
            _lock(file)
            # The one before may have removed file and folder in between.
            if os.path.samestat(os.fstat(file.fileno()), (folder / NAME).stat()):
                break
        except FileNotFoundError:
            pass
        except (BlockingIOError, PermissionError):
            file.seek(0)
            holder = (file.read(100) or b"").decode(errors="replace").strip()
            file.close()
            raise UserError(
                f"{folder} is in use by another run (process {holder or 'unknown'}): wait for its "
                "end, or name another folder"
            ) from None
        except OSError as error:
            warnings.warn(
                f"{folder} cannot be locked ({error}): start no other run there", stacklevel=2
            )
            return file
        file.close()
    with suppress(OSError):  # on a full disk it stays unknown who has it
        file.truncate(0)
        file.write(f"{os.getpid()}\n".encode())
    return file


def unlock_folder(folder: Path, lock: FileIO) -> None:
    """Give a locked folder free, and remove it if nothing was written into it."""
    (folder / NAME).unlink(missing_ok=True)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    lock.close()


def _lock(file: FileIO) -> None:
    try:
        import fcntl
    except ImportError:  # Windows
        return
    fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
