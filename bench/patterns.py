"""Whether Go's regular expressions match exactly the buckets of a set, as Traefik and other gateways in Go would.

Random sets of both resolutions, with and without user tags; every bucket and every near miss is asked of `MatchString`,
which searches.  RE2, PCRE and JavaScript are asked by the tests; Go needs its compiler, which is looked for on PATH.
"""

import argparse
import json
import random
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from tailramp.buckets import BucketSet, Resolution

RESULTS = Path(__file__).parent / "results" / "patterns.txt"

_PROGRAM = """\
package main

import (
	"bufio"
	"encoding/json"
	"os"
	"regexp"
)

type question struct {
	Pattern string
	Values  []string
}

func main() {
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	decoder, encoder := json.NewDecoder(bufio.NewReader(os.Stdin)), json.NewEncoder(out)
	for decoder.More() {
		var asked question
		if err := decoder.Decode(&asked); err != nil {
			panic(err)
		}
		compiled := regexp.MustCompile(asked.Pattern)
		matched := []int{}
		for index, value := range asked.Values {
			if compiled.MatchString(value) {
				matched = append(matched, index)
			}
		}
		encoder.Encode(matched)
	}
}
"""


def random_sets(count: int, seed: int) -> Iterator[tuple[BucketSet, tuple[str, ...]]]:
    """Scattered buckets and runs, with the tags of a step or none."""
    source = random.Random(seed)
    for _ in range(count):
        resolution: Resolution = source.choice((100, 10000))
        numbers = source.sample(range(resolution), source.randint(1, 40))
        for _ in range(source.randint(0, 3)):
            first = source.randrange(resolution)
            numbers += range(first, min(first + source.randint(1, 300), resolution))
        yield BucketSet(tuple(dict.fromkeys(numbers)), resolution), source.choice(((), ("VIP",), ("VIP", "NEW")))


def question(buckets: BucketSet, tags: tuple[str, ...]) -> tuple[list[str], set[int]]:
    """Values, and the places of those that must match."""
    width = 2 if buckets.resolution == 100 else 4
    every = [f"{number:0{width}d}" for number in range(buckets.resolution)]
    values = [f"{bucket}_{tag}" for bucket in every for tag in (*tags, "OTHER")] if tags else list(every)
    meant = {f"{bucket}_{tag}" for bucket in buckets for tag in tags} if tags else set(buckets)
    for value in list(values[:50]):
        values += [f" {value}", f"{value} ", f"x{value}", f"{value}0", f"{value}\n", f"{value},{value}", value[:-1]]
    return values, {place for place, value in enumerate(values) if value in meant}


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m bench patterns", description=__doc__)
    parser.add_argument("--sets", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help=f"write what was found to {RESULTS.name} too")
    chosen = parser.parse_args(arguments)
    go = shutil.which("go")
    if go is None:
        parser.error("no `go` is on PATH: install Go and try again")
    version = subprocess.run([go, "version"], capture_output=True, text=True, check=True).stdout.strip()
    asked = [(buckets, tags, *question(buckets, tags)) for buckets, tags in random_sets(chosen.sets, chosen.seed)]
    since = time.monotonic()
    answers = _answers(go, [{"Pattern": b.pattern(tags), "Values": values} for b, tags, values, _ in asked])
    wrong = [b.pattern(tags) for (b, tags, _, meant), found in zip(asked, answers, strict=True) if found != meant]
    lines = [
        f"{version}; {chosen.sets:,} sets, seed {chosen.seed}",
        f"{sum(len(values) for _, _, values, _ in asked):,} values asked in {time.monotonic() - since:.1f} s",
        f"{len(wrong)} patterns match anything else than their set",
        *wrong[:20],
    ]
    print("\n".join(lines))
    if chosen.keep:
        RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")


def _answers(go: str, questions: list[dict[str, Any]]) -> list[set[int]]:
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "main.go"
        program.write_text(_PROGRAM, encoding="utf-8")
        asked = "\n".join(json.dumps(each) for each in questions)
        done = subprocess.run([go, "run", str(program)], input=asked, capture_output=True, text=True, check=True)
    return [set(json.loads(line)) for line in done.stdout.splitlines()]
