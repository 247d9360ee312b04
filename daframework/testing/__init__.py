"""Contract checks for components, listeners and commands, which plugin authors run in their tests.

    from daframework.testing import check_generator
    check_generator(MyGenerator(), height=64, width=96)

Each raises `PluginError`, or `DataError` for a sample, and says what was promised and what was got. What is registered
runs through all of its kind in `check_component`, as ``daf plugins --check`` does. ``daf check`` runs those of one
network on the meta device, where nothing is computed.
"""

from daframework.testing.components import check_dataset as check_dataset
from daframework.testing.components import check_discriminator as check_discriminator
from daframework.testing.components import check_generator as check_generator
from daframework.testing.components import check_loss as check_loss
from daframework.testing.components import check_network as check_network
from daframework.testing.components import check_size as check_size
from daframework.testing.components import check_task as check_task
from daframework.testing.hooks import check_commands as check_commands
from daframework.testing.hooks import check_listener as check_listener
from daframework.testing.registered import check_component as check_component

# Of what is imported here, documentation shows what this names.
__all__ = [name for name in dir() if name.startswith("check_")]
