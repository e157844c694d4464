"""A command run as torchrun does with two processes, but for torchrun's own start."""

import os
import socket
import subprocess


def run_pair(command, cwd, **environment):
    """Run both to their end; returns what they printed, and fails if one of them did."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            list(map(str, command)),
            cwd=cwd,
            env={**os.environ, "OMP_NUM_THREADS": "1", **shared, "RANK": rank, **environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in "01"
    ]
    try:
        said = [process.communicate(timeout=300) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], said
    return "".join(out for out, _ in said)
