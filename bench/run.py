"""Runs every benchmark there is, one after the other: each file of this folder but this one and chaos.py, which breaks things.

A file with an underscore in its name is a part of another. Arguments name benchmarks (`run.py launch`); without any, all run.
Exit status 1 if one does not hold its bar.
"""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
APART = {"run", "chaos"}


def main():
    there = {path.stem: path for path in sorted(FOLDER.glob("*.py")) if path.stem not in APART and "_" not in path.stem}
    wanted = sys.argv[1:] or list(there)
    unknown = [name for name in wanted if name not in there]
    if unknown:
        raise SystemExit(f"there is no benchmark {', '.join(unknown)}; there are: {', '.join(there)}")
    failed = []
    for name in wanted:
        print(f"\n== {name} ==", flush=True)
        if subprocess.run([sys.executable, str(there[name])], check=False).returncode != 0:
            failed.append(name)
    if failed:
        raise SystemExit(f"these did not hold their bar, or did not run: {', '.join(failed)}")


if __name__ == "__main__":
    main()
