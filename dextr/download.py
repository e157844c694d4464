"""Getting what the registry lists."""

from __future__ import annotations

from pathlib import Path

from dextr import registry


def find_file(name: str) -> Path:
    """Return the file behind a name in the registry or a path.

    Raises:
        ValueError: There is none.
    """
    if name == registry.BUNDLED:
        return registry.bundled_path()
    if name in registry.PUBLISHED:
        return registry.local_path(registry.PUBLISHED[name])
    if not Path(name).exists():
        networks = [e.name for e in registry.PUBLISHED.values() if e.kind == registry.NETWORK]
        names = [registry.BUNDLED, registry.UNTRAINED, *networks]
        raise ValueError(f"no weights {name!r}: expected a file or one of {', '.join(names)}")
    return Path(name)
