"""``python -m wsprism``."""

from wsprism.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
