import pickle
import resource
from random import Random

import pytest
import torch

from daframework.errors import RunError
from daframework.storage.checkpoint import load, save

CPU = torch.device("cpu")
STATE = {"done": 3, "weights": torch.arange(6.0), "pool": [torch.ones(2, dtype=torch.uint8), None], "name": "x"}


def test_what_was_saved_is_loaded(tmp_path):
    save(tmp_path / "new" / "a.pt", STATE)
    state = load(tmp_path / "new" / "a.pt", CPU)
    assert torch.equal(state.pop("weights"), STATE["weights"]) and torch.equal(state["pool"][0], STATE["pool"][0])
    assert state["done"] == 3 and state["pool"][1] is None and state["name"] == "x"
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.pt"]


def test_without_a_file_there_is_nothing_to_load(tmp_path):
    assert load(tmp_path / "a.pt", CPU) is None


class Planted:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("write", [torch.save, lambda state, path: path.write_bytes(pickle.dumps(state))])
def test_code_in_a_checkpoint_is_refused_and_never_run(tmp_path, write):
    trap = tmp_path / "trap"
    write({"done": 1, "payload": Planted(trap)}, tmp_path / "a.pt")
    with pytest.raises(RunError, match=r"a\.pt is damaged or holds more than weights; delete it to begin again"):
        load(tmp_path / "a.pt", CPU)
    assert not trap.exists()


@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.6, 0.95, 0.999])
def test_a_truncated_checkpoint_is_named(tmp_path, share):
    path = tmp_path / "a.pt"
    save(path, STATE)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    again = "; delete it to begin again, or the whole folder of the run if that is finished"
    with pytest.raises(RunError, match=rf"^checkpoint \S+a\.pt is damaged, cut short or no checkpoint at all{again}$"):
        load(path, CPU)


def test_a_checkpoint_that_may_not_be_read_is_not_said_to_be_damaged(tmp_path):
    (tmp_path / "a.pt").mkdir()
    with pytest.raises(RunError, match=r"checkpoint \S+a\.pt cannot be read: Is a directory$"):
        load(tmp_path / "a.pt", CPU)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_whatever_a_file_holds_it_is_loaded_or_refused(tmp_path):
    path = tmp_path / "a.pt"
    save(path, STATE)
    whole = path.read_bytes()
    random = Random(0)
    refused = 0
    for draw in range(300):
        content = bytearray(whole if draw % 4 else random.randbytes(40))
        for _ in range(3):
            content[random.randrange(len(content))] = random.randrange(256)
        path.write_bytes(content)
        try:
            assert same(load(path, CPU))
        except RunError as error:
            refused += 1
            assert str(path) in str(error)
    assert refused > 100


def same(state):
    """Whether it is what was saved, to the last bit."""
    return (
        state.keys() == STATE.keys()
        and torch.equal(state["weights"], STATE["weights"])
        and torch.equal(state["pool"][0], STATE["pool"][0])
        and (state["done"], state["pool"][1], state["name"]) == (3, None, "x")
    )


def test_one_bit_that_turned_over_is_noticed(tmp_path):
    path = tmp_path / "a.pt"
    save(path, STATE)
    whole = path.read_bytes()
    place = whole.index(STATE["weights"].numpy().tobytes()) + 9
    path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    with pytest.raises(
        RunError, match=r"a\.pt is damaged: its content is not what was saved; delete it to begin again"
    ):
        load(path, CPU)


def test_a_checkpoint_of_an_earlier_version_is_loaded(tmp_path):
    torch.save(STATE | {"digest": "of all that"}, tmp_path / "a.pt")
    assert same(load(tmp_path / "a.pt", CPU))


# --- the one before ---


def test_a_damaged_checkpoint_is_replaced_by_the_one_before_it_and_a_line_says_so(tmp_path, capsys):
    path = tmp_path / "a.pt"
    for done in (1, 2):
        save(path, STATE | {"done": done}, keep_previous=True)
    assert load(path, CPU)["done"] == 2 and capsys.readouterr().err == ""
    path.write_bytes(path.read_bytes()[:100])
    assert load(path, CPU)["done"] == 1
    said = capsys.readouterr().err
    assert said.startswith(f"warning: checkpoint {path} ") and said.count("\n") == 1
    assert said.endswith("; going on from the one before it\n")
    save(path, STATE | {"done": 3}, keep_previous=True)
    path.unlink()
    assert load(path, CPU)["done"] == 1  # and not the damaged one


def test_killed_between_two_renames_the_one_before_is_there(tmp_path):
    path = tmp_path / "a.pt"
    for done in (1, 2):
        save(path, STATE | {"done": done}, keep_previous=True)
    path.unlink()
    assert load(path, CPU)["done"] == 1


def test_the_last_two_are_kept_and_at_the_end_only_one(tmp_path):
    path = tmp_path / "a.pt"
    for done in (1, 2, 3):
        save(path, STATE | {"done": done}, keep_previous=True)
    assert sorted(left.name for left in tmp_path.iterdir()) == ["a.previous.pt", "a.pt"]
    save(path, STATE)
    assert [left.name for left in tmp_path.iterdir()] == ["a.pt"]


def test_where_both_are_damaged_the_file_is_named(tmp_path):
    for name in ("a.pt", "a.previous.pt"):
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(RunError, match=r"a\.previous\.pt .*; delete it to begin again"):
        load(tmp_path / "a.pt", CPU)


def test_memory_that_runs_out_is_not_blamed_on_the_file(tmp_path, monkeypatch):
    save(tmp_path / "a.pt", STATE)

    def full(*arguments, **options):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch, "load", full)
    with pytest.raises(torch.OutOfMemoryError):
        load(tmp_path / "a.pt", CPU)


def test_a_file_that_holds_no_table_is_refused(tmp_path):
    torch.save(torch.zeros(3), tmp_path / "a.pt")
    with pytest.raises(RunError, match=r"a\.pt"):
        load(tmp_path / "a.pt", CPU)


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"checkpoint .*file/sub/a\.pt cannot be written: .*; the one before it is kept"):
        save(tmp_path / "file" / "sub" / "a.pt", STATE)


def test_a_full_disk_keeps_the_checkpoint_before_and_leaves_no_other_file(tmp_path):
    path = tmp_path / "a.pt"
    save(path, STATE)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, before[1]))
    try:
        with pytest.raises(RunError, match=r"checkpoint .*a\.pt cannot be written"):
            save(path, {"done": 4, "weights": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert load(path, CPU)["done"] == 3
    assert [left.name for left in tmp_path.iterdir()] == ["a.pt"]
