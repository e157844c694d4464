"""train_pascal.py, but it sends itself a signal before a step.

The signal's and the step's number come first on the command line, then train_pascal.py's own
arguments.
"""

import os
import sys

import train_pascal
from dextr.common import cli
from dextr.training import trainer


def main():
    number, step, arguments = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    train_step = trainer.train_step

    def step_with_a_signal(state, *rest):
        if state.step + 1 == step:
            os.kill(os.getpid(), number)
        return train_step(state, *rest)

    trainer.train_step = step_with_a_signal
    return cli.run(train_pascal.main, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
