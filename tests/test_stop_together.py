"""What one process does for all, such as filling the cache: where it is asked to stop meanwhile, all of them stop."""

from cache_set import SHARD, write_set
from test_translate_ranks import run_two

SCRIPT = """
import sys
from pathlib import Path
import torch
from lightning_fabric import Fabric
from cache_set import cached, files
from conftest import Recorder
from daframework.compute.ranks import from_first
from daframework.compute.session import Session
from daframework.errors import StoppedError

def stop():
    raise StoppedError("stopped while all waited")

torch.set_num_threads(1)
fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
fabric.launch()
for stop_after in (5, None):
    log = Recorder(stop_after)
    session = Session(fabric, log, log.stopping if fabric.global_rank == 0 else lambda: False)
    for made in (lambda: cached(session, files(sys.argv[1])), lambda: from_first(stop)):
        try:
            print(len(made()))
        except StoppedError as stopped:
            print(stopped)
fabric.barrier()
torch.distributed.destroy_process_group()
"""


def test_where_the_process_that_does_it_is_asked_to_stop_all_of_them_stop(tmp_path):
    first, second = run_two(write_set(tmp_path / "set"), code=SCRIPT, DAF_CACHE=str(tmp_path / "cache"))
    together, whole = "stopped while all waited", str(SHARD + 6)
    assert first == [f"stopped after 5 of {whole} images of the set were cached", together, whole, together]
    assert second == ["stopped while the set was cached", together, whole, together]
