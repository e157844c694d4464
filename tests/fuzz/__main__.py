"""Throws odd inputs at everything that reads what others made: `python -m fuzz --count 10000`.

Each input ends in a right result or in a ValueError or OSError of one line; anything else, more
than 20 s of CPU time or more memory than the bound is a failure, listed with what repeats it.
Run it with `make fuzz`.
"""

from __future__ import annotations

import argparse
import json
import queue
import random
import resource
import signal
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict

from fuzz.cases import CATEGORIES, FAILURE, Outcome, try_case
from tqdm import tqdm

CPU_SECONDS = 20
SILENT_SECONDS = 300
BOUND = 4 * 2**30
# Threads' stacks and the libraries' own mappings are address space, not memory.
ADDRESS_SPACE = BOUND + 8 * 2**30
KINDS_SHOWN = 8


def main() -> int:
    """Run the inputs and print what came of them; 1 if anything failed."""
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="inputs (10000)")
    parser.add_argument("--seed", type=int, default=0, help="another seed, other inputs (0)")
    parser.add_argument("--category", choices=CATEGORIES, help="only these")
    parser.add_argument("--one", metavar="SEED", type=int, help="one input of --category again")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.worker:
        return serve()
    if args.one is not None:
        outcome = try_case(args.category or "predict", args.one)
        print(f"{outcome.kind}\n{outcome.message}")
        return int(outcome.kind == FAILURE)
    work = plan(args.count, args.seed, args.category)
    outcomes, peak = [], 0
    for outcome, used in tqdm(run(work), "fuzz", total=len(work), unit="input"):
        outcomes.append(outcome)
        peak = max(peak, used)
    print("\n".join(report(outcomes, peak)))
    return int(any(outcome.kind == FAILURE for outcome in outcomes) or peak > BOUND)


def plan(count: int, seed: int, only: str | None = None) -> list[tuple[str, int]]:
    """Return categories and seeds, categories in their shares."""
    rng = random.Random(seed)
    names = [only] if only else list(CATEGORIES)
    chosen = rng.choices(names, [CATEGORIES[name][1] for name in names], k=count)
    return [(name, rng.randrange(2**32)) for name in chosen]


def run(work: Sequence[tuple[str, int]]) -> Iterator[tuple[Outcome, int]]:
    """Yield each outcome and the peak memory so far, from a process that may die or hang."""
    done = 0
    while done < len(work):
        answers: queue.Queue[str] = queue.Queue()
        worker = subprocess.Popen(
            [sys.executable, "-m", "fuzz", "--worker"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        threading.Thread(target=_listen, args=(worker, answers), daemon=True).start()
        assert worker.stdin is not None
        worker.stdin.write("\n".join(json.dumps(item) for item in work[done:]) + "\n")
        worker.stdin.close()
        while done < len(work):
            try:
                line = answers.get(timeout=SILENT_SECONDS)
            except queue.Empty:
                line = ""
            if not line:
                worker.kill()
                reason = f"the process hung or died (exit code {worker.wait()})"
                yield Outcome(*work[done], FAILURE, reason), 0
                done += 1
                break
            fields = json.loads(line)
            peak = fields.pop("peak")
            yield Outcome(**fields), peak
            done += 1
        worker.kill()
        worker.wait()


def _listen(worker: subprocess.Popen[str], answers: queue.Queue[str]) -> None:
    assert worker.stdout is not None
    for line in worker.stdout:
        answers.put(line)
    answers.put("")


def serve() -> int:
    """Try what comes on stdin, a category and a seed per line; answer with a line of JSON each."""
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESS_SPACE, ADDRESS_SPACE))
    signal.signal(signal.SIGPROF, _too_slow)
    for line in sys.stdin.readlines():
        category, seed = json.loads(line)
        signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
        outcome = try_case(category, seed)
        signal.setitimer(signal.ITIMER_PROF, 0)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({**asdict(outcome), "peak": peak}), flush=True)
    return 0


def _too_slow(*_: object) -> None:
    raise TimeoutError(f"more than {CPU_SECONDS} s of CPU time\nfor one input")


def report(outcomes: Sequence[Outcome], peak: int) -> Iterator[str]:
    """Yield Markdown: inputs, results and errors by category, the commonest errors, failures."""
    yield "| category | inputs | right result | clear error | failures | kinds of error |"
    yield "|---|---|---|---|---|---|"
    for name in [name for name in CATEGORIES if any(o.category == name for o in outcomes)] + [
        "all"
    ]:
        own = [o for o in outcomes if name in (o.category, "all")]
        kinds = Counter(o.kind for o in own)
        messages = {o.message for o in own if o.kind == "error"}
        counts = " | ".join(str(kinds[kind]) for kind in ("result", "error", FAILURE))
        yield f"| {name} | {len(own)} | {counts} | {len(messages)} |"
    yield f"\npeak memory {peak / 2**20:.0f} MiB (bound {BOUND / 2**20:.0f} MiB)\n"
    for name in CATEGORIES:
        errors = Counter(o.message for o in outcomes if o.category == name and o.kind == "error")
        for message, count in errors.most_common(KINDS_SHOWN):
            yield f"  {count:5} {name}: {message}"
    for outcome in outcomes:
        if outcome.kind == FAILURE:
            yield f"\nFAILURE: --category '{outcome.category}' --one {outcome.seed}"
            yield outcome.message


if __name__ == "__main__":
    raise SystemExit(main())
