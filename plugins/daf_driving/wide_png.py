"""PNG labels of 16 bits a channel and several channels, as SYNTHIA has them: class id first, instance id second.

Pillow keeps the high byte of each value, which is 0 for every id below 256: a label of nothing but void, and no error.
"""

from pathlib import Path

from torch import Tensor

from daframework.data.decode import read_channels, read_label


def read_first_channel(path: Path) -> Tensor:
    """Decode the ids in a PNG's first channel to (H, W) int32, where it has several channels of 16 bits.

    A PNG of one channel is read as by `read_label`, which refuses 8-bit colours.

    Raises:
        DataError: the file cannot be read, is no PNG of ids, or is interlaced.
    """
    channels = read_channels(path)
    return read_label(path) if channels is None else channels[..., 0]
