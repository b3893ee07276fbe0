"""The parts of gpu.sh, one after the other, each in a fork of this process, which has imported what they need.

Each part is a benchmark with arguments, and has so many seconds. It counts as done when it exits with 0 and has printed
a finite ratio. What the parts print is shown as it comes; the table repeats the ratios.
"""

import argparse
import contextlib
import math
import multiprocessing
import os
import re
import runpy
import signal
import sys
import tempfile
import time
from pathlib import Path

import bench_embed  # noqa: F401 - the forks need not import it, and what it imports, again
import bench_exact_search  # noqa: F401
import bench_resume  # noqa: F401
import matplotlib.backends.backend_agg  # noqa: F401

SECONDS = 285
"""For all parts together."""
MOST = 90
"""For one."""

NETWORKS = ("resnet50", "vit_small_patch16_224")
STEP = "bench_step.py --image-size 224 --batch-size 128 --precision bf16 --steps"
PARTS = {
    **{f"step overhead, {name}": f"{STEP} 20 --model {name}" for name in NETWORKS},
    "inputs fed against a resident batch": f"{STEP} 20 --model resnet50 --cache off",
    "embedding against the bare loop": "bench_embed.py --images 4096 --batch-size 128 --precision bf16",
    "Table 9 against the product": "bench_exact_search.py --device cuda",
    "resume": "bench_resume.py --precision bf16",
    **{f"step overhead, {name}, compiled": f"{STEP} 20 --model {name} --compile" for name in NETWORKS},
}

TOY_STEP = "bench_step.py --image-size 32 --batch-size 2 --precision bf16 --steps 2"
TOY_PARTS = {
    "step overhead, test_resnet": f"{TOY_STEP} --model test_resnet",
    "inputs fed against a resident batch": f"{TOY_STEP} --model test_resnet --cache off",
    "embedding against the bare loop": "bench_embed.py --model test_resnet --images 8 --batch-size 4 --rounds 1 "
    "--image-size 32 --precision bf16",
    "Table 9 against the product": "bench_exact_search.py --device cpu --queries 50 --items 2000 --dimensions 32 "
    "--rounds 1",
    "resume": "bench_resume.py --model test_resnet --image-size 32 --batch-size 4 --precision bf16",
    "step overhead, test_vit, compiled": f"{TOY_STEP} --model test_vit --compile",
}


def main() -> None:
    """Run the parts and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--toy", action="store_true", help="tiny networks; for a machine without a GPU")
    parts = TOY_PARTS if parser.parse_args().toy else PARTS
    end = time.monotonic() + SECONDS
    rows = []
    for title, command in parts.items():
        print(f"\n=== {title}: {command}", flush=True)
        began = time.monotonic()
        failure, lines = run(command, min(MOST, end - began))
        took = time.monotonic() - began
        if not lines and not failure:
            failure = "no finite ratio"
        rows += [f"| {title} | {line} | {took:.0f} | {failure or 'ran'} |" for line in lines or [""]]
    print("\n| part | what it printed | seconds | |\n| --- | --- | ---: | --- |", *rows, sep="\n")
    sys.exit(any(not row.endswith("| ran |") for row in rows))


def run(command: str, seconds: float) -> tuple[str, list[str]]:
    """Return why a part failed, "" if it did not, and the lines with ratios that it printed."""
    with tempfile.TemporaryFile("w+") as output:
        process = multiprocessing.get_context("fork").Process(target=_part, args=(command, output.fileno()))
        process.start()
        process.join(max(0.0, seconds))
        failure = "" if process.exitcode == 0 else f"exit code {process.exitcode}"
        if process.exitcode is None:
            failure = f"not done in {seconds:.0f} s"
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.join()
        output.seek(0)
        text = output.read()
    print(text, flush=True)
    return failure, [line.strip() for line in text.splitlines() if is_ratio(line)]


def is_ratio(line: str) -> bool:
    """Tell whether a line holds a ratio that is a finite number above zero."""
    found = re.search(r"\bratio ([0-9.e+-]+|nan|inf)", line)
    return found is not None and math.isfinite(float(found[1])) and float(found[1]) > 0


def _part(command: str, output: int) -> None:
    """Run a benchmark in this process, a fork, as if it had been called."""
    os.setsid()  # so that its own processes end with it
    os.dup2(output, 1)
    os.dup2(output, 2)
    script, *arguments = command.split()
    path = str(Path(__file__).parent / script)
    sys.argv = [path, *arguments]
    runpy.run_path(path, run_name="__main__")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
