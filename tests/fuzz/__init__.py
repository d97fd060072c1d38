"""Damaged, hostile and odd inputs, made by the thousand: what `make fuzz` runs (docs/fuzzing.md).

- `seeds.py`: small inputs of which all is well; `corpus/`: inputs that once were a finding, replayed by a test.
- `models.py`, `datasets.py`, `documents.py`, `places.py`: Hypothesis strategies that damage them, listed in `kinds.py`.
- `case.py`: a case, which is a folder of files; `judged.py`: one run of it, and what is wrong with how it ended.
- `child.py`: a batch of cases in a process of its own; `watch.py`: watches that process, so that a hang, a signal and a
  lack of memory are findings too; `__main__.py`: the command.
"""
