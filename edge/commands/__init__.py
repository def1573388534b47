"""One file per command; each has `add(subparsers)` and `run(args) -> int`, and imports the rooms only when it runs."""
