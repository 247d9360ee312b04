"""Names for the parts of a training step, which a profiler shows and which cost next to nothing without one."""

from contextlib import AbstractContextManager, nullcontext

import torch
from torch.autograd import profiler

# What a span's name begins with in a trace, to tell it from the names that PyTorch and others give.
PREFIX = "daf: "
_NOTHING = nullcontext()


def span(name: str) -> AbstractContextManager[object]:
    """Name the time spent inside, as in ``with span("generators' forward"):``.

    Spans may lie in one another; each is then counted without those inside it. Of the code that `torch.compile`
    compiles, none is seen: the call to it is what a span can hold.
    """
    # Asked first: compiled code that reads the flag would be compiled again when a profiler starts.
    if torch.compiler.is_compiling() or not profiler._is_profiler_enabled:
        return _NOTHING
    return profiler.record_function(PREFIX + name)
