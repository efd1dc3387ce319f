"""The statement "lemma_4_9_spectral" is checked with the others."""

import rfa

run = rfa.Experiment(n=200, d=20, m=32).run(rng=0)
report = rfa.theory.check(run)
check = report["lemma_4_9_spectral"]
print("holds:", check.holds)
print(f"{check.value:.3f} <= {check.bound}")
print("the other norm is larger:", report["lemma_4_9_norm"].value >= check.value)
