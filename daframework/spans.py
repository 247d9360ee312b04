"""Names for the parts of a training step, which a profiler shows and which cost next to nothing without one."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch.autograd import profiler

PREFIX = "daf: "
"""What a span's name begins with in a trace, to tell it from the names that PyTorch and others give."""
_NOTHING = nullcontext()


def span(name: str) -> AbstractContextManager[object]:
    """Name the time spent inside, as in ``with span("generators forward"):``.

    Spans may lie in one another; each is then counted without those inside it. While a profiler watches, a GPU is
    waited for at a span's end, so that its work counts where it was asked for. Of the code that `torch.compile`
    compiles, none is seen: the call to it is what a span can hold.
    """
    # Asked first: compiled code that reads the flag would be compiled again when a profiler starts.
    if torch.compiler.is_compiling() or not profiler._is_profiler_enabled:
        return _NOTHING
    return _watched(PREFIX + name)


@contextmanager
def _watched(name: str) -> Iterator[None]:
    with profiler.record_function(name):
        yield
        if torch.accelerator.is_available():
            torch.accelerator.synchronize()
