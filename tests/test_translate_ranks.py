"""A set that several processes translate together."""

import tiny
import torch
from conftest import BOUND
from forked import Forked
from test_checked import Listed
from test_ensemble import Tinted, pictures
from test_ranks import free_port

from daframework.adapt.translate import translate_set
from daframework.adapt.translated_set import open_translated

# Each process runs this; Lightning Fabric reads from the environment which of them it is.
SCRIPT = """
import sys
from pathlib import Path
import torch
from lightning_fabric import Fabric
import tiny
from conftest import Recorder
from test_translate_ranks import given
from test_ensemble import Tinted
from daframework.adapt.translate import translate_set
from daframework.errors import DafError
from daframework.compute.session import Session

torch.set_num_threads(1)
fabric = Fabric(accelerator="cpu", devices=2, strategy="ddp")
fabric.launch()
rank = fabric.global_rank
for name, stop_after in (("whole", None), ("stopped", 1)):
    log, dataset, folder = Recorder(stop_after), given(), Path(sys.argv[1]) / name
    session = Session(fabric, log, log.stopping if rank == 1 else lambda: False)
    try:
        translate_set(session, Tinted(), dataset, folder, batch_size=2, seed=0)
    except DafError as error:
        print(error)
    print(dataset.reads, folder.exists(), log.stages)
fabric.barrier()
torch.distributed.destroy_process_group()
"""


def given():
    blocks = tiny.blocks(split="train", images=5)
    return Listed([blocks[place] for place in range(5)])


def run_two(folder, code=SCRIPT, **environment):
    """The lines that each of two processes prints."""
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
    processes = [Forked([folder], code=code, **shared, **environment, LOCAL_RANK=str(rank)) for rank in range(2)]
    ended = [process.communicate(timeout=BOUND) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], ended
    return [out.splitlines() for out, _ in ended]


def test_two_ranks_share_a_set_make_what_one_makes_and_stop_together(tmp_path, session):
    first, second = run_two(tmp_path)
    assert first[0] == "[0, 2, 4] True [('translating', 6, 0)]"
    assert second[0] == "[1, 3] True [('translating', 4, 0)]"
    translate_set(session(), Tinted(), given(), tmp_path / "alone", batch_size=2, seed=0)
    assert pictures(tmp_path / "whole") == pictures(tmp_path / "alone")
    for dataset in open_translated(tmp_path / "whole", given()):
        assert list(dataset.names) == [given()[place].name for place in range(5)]
        assert all(torch.equal(dataset[place].label, given()[place].label) for place in range(5))

    assert first[1:] == ["stopped after 6 of 6 translated images", "[0, 2, 4] False [('translating', 6, 0)]"]
    assert second[1:] == ["stopped after 2 of 4 translated images", "[1, 3] False [('translating', 4, 0)]"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["alone", "whole"]
