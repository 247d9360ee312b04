"""A trained network as one file for other programs: ONNX, torch.export or safetensors; docs/export.md shows it."""

from typing import TYPE_CHECKING, Any

from click import Group

from daframework import hookimpl

if TYPE_CHECKING:
    from daf_export.exporting import Exported, export, load

__all__ = ["Exported", "export", "load"]


@hookimpl
def daf_commands(group: Group) -> None:
    """Add ``daf export``."""
    from daf_export.export_command import command

    group.add_command(command)


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'daf_export' has no attribute '{name}'")
    from daf_export import exporting

    return getattr(exporting, name)
