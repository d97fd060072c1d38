"""`python -m tests.reconcile --rewrite` writes every decision anew; look at the difference before you keep it."""

from __future__ import annotations

import sys

from tests.reconcile.cases import Case, names


def main() -> int:
    changed = 0
    for name in names():
        case = Case(name)
        text = case.text()
        if text != case.expected:
            changed += 1
            print(f"{name}: {'rewritten' if '--rewrite' in sys.argv else 'differs'}")
            if "--rewrite" in sys.argv:
                (case.folder / "decision.yaml").write_text(text)
    return 0 if "--rewrite" in sys.argv or not changed else 1


if __name__ == "__main__":
    sys.exit(main())
