"""``python -m bench NAME [OPTION...]`` runs one benchmark; without a name it lists them."""

import importlib
import pkgutil
import sys
from pathlib import Path


def names() -> list[str]:
    return sorted(module.name for module in pkgutil.iter_modules([str(Path(__file__).parent)]) if module.name[0] != "_")


def main() -> int:
    known = names()
    if len(sys.argv) < 2 or sys.argv[1] not in known:
        print("usage: python -m bench NAME [OPTION...]; NAME is one of:")
        for name in known:
            summary = (importlib.import_module(f"bench.{name}").__doc__ or "").splitlines()[0]
            print(f"  {name}: {summary}")
        return 0 if len(sys.argv) < 2 else 2
    importlib.import_module(f"bench.{sys.argv[1]}").main(sys.argv[2:])
    return 0


if __name__ == "__main__":
    sys.exit(main())
