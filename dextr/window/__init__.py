"""The click window: session, view, mouse, and where it is shown."""

from dextr.window.show import annotate

__all__ = ["annotate"]
