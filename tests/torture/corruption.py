"""Damage files and give the command that reads them: ``python tests/torture/corruption.py --cases 1000 --seed 0``.

A file that carries a checksum, or was made by a run, gives the result of the undamaged one to the last bit, or an
error; a file of the user's gives what a sound file of its kind gives, or an error. An error is one or more lines and
exit code 1: no traceback, no hang, no signal.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from command import LONGEST, Ended, run_daf, run_process
from conftest import install
from damage import ALL, is_sound
from victims import SUBJECTS, Subject, prepare, sound

from daframework.errors import DafError
from daframework.registry import components, load_plugins


def judged(
    subject: Subject, victim: Path, whole: dict[Path, bytes], work: Path, ended: Ended, wanted: object
) -> str | None:
    """What is wrong with how a command ended that read a damaged file; None where nothing is."""
    said = ended.out + ended.errors
    if ended.code is None:
        return f"took more than {LONGEST} s"
    if "Traceback" in said or "(a fault of" in said:
        return "an error that no user could read"
    if ended.code in (1, 2):
        return None if "error: " in said.lower() else "failed without a word"
    if ended.code:
        return f"ended with exit code {ended.code}"
    if subject.users:
        return None if is_sound(victim, whole) or (subject.may_lack and not victim.exists()) else "read in silence"
    try:
        same = subject.outcome(work, ended) == wanted or any(word in said for word in subject.tells)
        return None if same else "another result in silence"
    except (OSError, ValueError, KeyError, DafError) as error:
        return f"no result: {error}"


def torture(folder: Path, cases: int, seed: int, *, real: int = 0) -> list[str]:
    """What went wrong over ``cases`` damaged files, ``real`` of them read by real processes; nothing if all is well."""
    install(folder / "site", "daf-tiny", "1.2", {"tiny": "tiny"})
    sys.path.insert(0, str(folder / "site"))
    work, kept = folder / "work", folder / "kept"
    os.environ |= {
        "DAF_CACHE": str(work / "cache"),
        "PYTHONPATH": os.pathsep.join([*sys.path[:2], os.environ.get("PYTHONPATH", "")]),
    }
    components(load_plugins(), "task")  # what these import takes longer than most commands, and no fork does it again
    work.mkdir()
    prepare(work)
    shutil.copytree(work, kept)
    wanted: dict[Subject, object] = {}
    draw, problems, counts = random.Random(seed), [], Counter[str]()
    for number in range(cases):
        how, subject = "", draw.choice(SUBJECTS)
        if subject not in wanted:
            _restore(kept, work)
            ended = run_daf(work, subject.arguments)
            sound(ended)
            wanted[subject] = subject.outcome(work, ended)
        while not how:  # a swap with its like changes nothing
            _restore(kept, work)
            files = sorted({path for pattern in subject.victims for path in work.glob(pattern) if path.is_file()})
            whole = {path: path.read_bytes() for path in files}
            victim = draw.choice(files)
            done = draw.choice(ALL)(draw, victim, files)
            if not victim.exists() or victim.read_bytes() != whole[victim]:
                how = done
        ended = (run_process if number < real else run_daf)(work, subject.arguments)
        problem = judged(subject, victim, whole, work, ended, wanted[subject])
        counts["wrong" if problem else "refused" if ended.code else "right"] += 1
        if problem:
            said = (ended.errors or ended.out).strip().splitlines()[-1:] or [""]
            problems.append(f"case {number}, {subject.name}: {victim.relative_to(work)} {how}: {problem}: {said[0]}")
            print(problems[-1], flush=True)
        if (number + 1) % 100 == 0:
            print(f"{number + 1} cases: {dict(counts)}", flush=True)
    return problems


def _restore(kept: Path, work: Path) -> None:
    shutil.rmtree(work)
    shutil.copytree(kept, work)


def main() -> None:
    """Torture, and say what went wrong."""
    parser = argparse.ArgumentParser(description="Give damaged files to daf.")
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--real", type=int, default=5, help="cases in which daf is a process of its own")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        problems = torture(Path(folder), asked.cases, asked.seed, real=asked.real)
    print(f"{asked.cases} damaged files: {'each refused, or read rightly' if not problems else 'FAILED'}")
    sys.exit(bool(problems))


if __name__ == "__main__":
    main()
