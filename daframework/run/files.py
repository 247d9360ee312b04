"""Write small files whole or not at all."""

from pathlib import Path

from daframework.errors import RunError


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path``; a reader sees the file before or after, never half of it.

    Raises:
        RunError: it cannot be written.
    """
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_text(text, encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise RunError(f"{path} cannot be written: {error.strerror}") from error
