"""What a user did wrong is told from what we did wrong."""


class UserError(ValueError):
    """Something a user can mend: a file, an option, an argument.

    The message says what was expected, what came and what to do; the programs show it on one line.
    Any other error is ours: the programs show where it happened. `networks`, which imports nothing
    of ours, raises plain ValueErrors; who calls it with what a user gave says so.
    """
