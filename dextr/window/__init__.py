"""The click window: session, view, mouse, and where it is shown."""
