"""Contract checks for components, listeners and commands, which plugin authors run in their tests.

    from daframework.testing import check_generator
    check_generator(MyGenerator(), height=64, width=96)

Each raises `PluginError`, or `DataError` for a sample, and says what was promised and what was got. What is registered
runs through all of its kind in `check_component`, as ``daf plugins --check`` does. ``daf check`` runs those of one
network on the meta device, where nothing is computed.
"""

from daframework.testing.components import (
    check_dataset,
    check_discriminator,
    check_generator,
    check_loss,
    check_network,
    check_size,
    check_task,
)
from daframework.testing.hooks import check_commands, check_listener
from daframework.testing.registered import check_component

__all__ = [
    "check_commands",
    "check_component",
    "check_dataset",
    "check_discriminator",
    "check_generator",
    "check_listener",
    "check_loss",
    "check_network",
    "check_size",
    "check_task",
]
