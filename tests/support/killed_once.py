"""train_pascal.py, but the second process kills itself before a step, unless torchrun restarted it.

The step's number comes first on the command line, then train_pascal.py's own arguments.
"""

import os
import signal
import sys

import train_pascal
from dextr.common import cli
from dextr.training import trainer


def main():
    fatal_step, arguments = int(sys.argv[1]), sys.argv[2:]
    doomed = os.environ["RANK"] == "1" and os.environ["TORCHELASTIC_RESTART_COUNT"] == "0"
    train_step = trainer.train_step

    def perhaps_the_last_step(state, *rest):
        if doomed and state.step + 1 == fatal_step:
            os.kill(os.getpid(), signal.SIGKILL)
        return train_step(state, *rest)

    trainer.train_step = perhaps_the_last_step
    return cli.run(train_pascal.main, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
