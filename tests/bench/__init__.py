"""What Assay costs, as ratios to the bare tools it is built on.

A figure in seconds says more about the machine than about the code. So every figure here is a ratio of two programs
measured in one run, in turns, or a growth in memory; each program runs in a process of its own, and the launching
process imports nothing but the standard library, so that peak memory is the program's own.

    python -m tests.bench.runner [--quick] [--only outputs,memory,layers] [--repeats N]
    python -m tests.bench.gpu [--quick] [--only outputs,layers,cache] [--repeats N]
    python -m tests.bench.operator [--quick] [--only latency,burst,backlog,steady] [--repeats N]

Figures go to standard output, one a line: `name value goal ok|MISS`; progress goes to standard error. Exit code 1 when
a goal is missed, 69 where there is nothing to measure on.
"""
