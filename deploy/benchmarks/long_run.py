#!/usr/bin/env python3
"""Trains a job for thousands of steps on one worker, and prints whether time a token and memory stay what they are.

    deploy/benchmarks/long_run.py deploy/samples/decompile/job.yaml --steps 5000 \
        --set training.global_batch_size=2 --set training.micro_batch_size=2

Steps are put into ten equal parts in their order. Of each: the median of microseconds a token, and what the largest
process of the run (the worker) has in memory at the part's end, as /proc says.
"""
import argparse
import json
import os
import statistics
import subprocess
import tempfile
import time

PARTS = 10


def descendants(pid):
    """All processes below one."""
    children = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{entry}/stat") as stat:
                parent = int(stat.read().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue  # ended meanwhile
        children.setdefault(parent, []).append(int(entry))
    found, left = [], [pid]
    while left:
        for child in children.get(left.pop(), []):
            found.append(child)
            left.append(child)
    return found


def largest_resident(pid):
    """Bytes of memory of the largest process below one."""
    most = 0
    for child in descendants(pid):
        try:
            with open(f"/proc/{child}/statm") as statm:
                most = max(most, int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
        except OSError:
            continue  # ended meanwhile
    return most


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("job")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    arguments = parser.parse_args()
    command = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../cli/ftcluster")
    with tempfile.TemporaryDirectory() as folder:
        sets = [f"training.max_steps={arguments.steps}", f"checkpoint.path={folder}", *arguments.set]
        run = subprocess.Popen(
            [command, "train", arguments.job, "--workers", "1", *(word for one in sets for word in ("--set", one))],
            stdout=subprocess.DEVNULL,
        )
        metrics = os.path.join(folder, "metrics.jsonl")
        memory = []  # (steps done, bytes)
        while run.poll() is None:
            time.sleep(2)
            if os.path.exists(metrics):
                with open(metrics, "rb") as lines:
                    memory.append((sum(1 for _ in lines), largest_resident(run.pid)))
        if run.returncode != 0:
            raise SystemExit(f"the run ended with {run.returncode}")
        with open(metrics) as lines:
            rates = [json.loads(line)["tokens_per_second"] for line in lines]
    print("| steps | µs a token | MB of the worker |\n|---|---|---|")
    size = len(rates) // PARTS
    for first in range(0, size * PARTS, size):
        part = rates[first : first + size]
        resident = max((have for done, have in memory if first < done <= first + size), default=0)
        print(f"| {first + 1}-{first + size} | {statistics.median(1e6 / rate for rate in part):.1f} | {resident / 1e6:.0f} |")


if __name__ == "__main__":
    main()
