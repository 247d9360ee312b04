"""``python -m daframework`` is the command ``daf``."""

from daframework.cli import main

main()
