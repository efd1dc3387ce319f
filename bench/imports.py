"""Compare bits with those beside libraries that bring OpenMP runtimes of their own.

Each library is imported and used before rfa, and after it, in a process of its own, with two
threads for each; what the process prints is the SHA-256 of the W that rfa ends with.

Use: python bench/imports.py
"""

import hashlib
import importlib.util
import subprocess
import sys

# module: a few operations that start its threads
USES = {
    "torch": "x = torch.ones(800, 800); (x @ x).sum().item()",
    "sklearn": "from sklearn.cluster import KMeans; KMeans(3, n_init=1).fit(rng.random((5000, 4)))",
    "jax": "import jax.numpy; x = jax.numpy.ones((800, 800)); (x @ x).sum().block_until_ready()",
}

PROGRAM = """
import hashlib, sys
import numpy as np
rng = np.random.default_rng(0)
module, use, first = sys.argv[1], sys.argv[2], sys.argv[3] == "first"

def other():
    if module:
        exec(f"import {module}\\n{use}", {"rng": rng})

def ours():
    import rfa
    found = []
    for d in (2, 50, 400):
        run = rfa.Experiment(n=700, d=d, m=300, steps=40).run(0, n_threads=2)
        found.append(run.engine + hashlib.sha256(run.network.W.tobytes()).hexdigest())
    return "\\n".join(found)

if first:
    other()
before = ours()
other()
assert ours() == before
print(before)
"""


def last_W(module: str, first: bool) -> str:
    arguments = [module, USES.get(module, ""), "first" if first else "after"]
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, timeout=300
    )
    if done.returncode:
        raise SystemExit(f"rfa with {module}, which is imported {arguments[2]}:\n{done.stderr}")
    return done.stdout


def main() -> None:
    alone = last_W("", first=False)
    print(f"alone: {hashlib.sha256(alone.encode()).hexdigest()[:16]}")
    for module in USES:
        if importlib.util.find_spec(module) is None:
            print(f"{module}: not installed")
            continue
        for first in (True, False):
            same = last_W(module, first) == alone
            print(f"{module}, imported {'before' if first else 'after'} rfa: "
                  f"{'same bits' if same else 'OTHER BITS'}")  # fmt: skip
            if not same:
                raise SystemExit(1)


if __name__ == "__main__":
    main()
