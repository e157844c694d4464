"""Names of categories from a command line."""

from __future__ import annotations

from pathlib import Path


def read_labels(text: str) -> list[str]:
    """Return the labels in a text file, one per line, or in a text such as `person,dog`.

    Raises:
        ValueError: There are none.

    >>> read_labels("person, traffic light,person")
    ['person', 'traffic light']
    """
    path = Path(text)
    if path.suffix.lower() == ".txt" or path.is_file():
        try:
            parts = path.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{path}: not a readable file of labels ({error})") from None
    else:
        parts = text.split(",")
    labels = list(dict.fromkeys(part.strip() for part in parts if part.strip()))
    if not labels:
        raise ValueError(f"{text!r}: no labels in it; expected person,dog or a file, one per line")
    return labels
