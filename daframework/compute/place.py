"""Which of a run's processes this is, as whatever started them says: `daf run --devices`, torchrun or Slurm.

Lightning Fabric's environments read the same variables, and believe them: a job of Slurm with several tasks and no srun
waits for ever, two steps on one machine share a port, and a variable that is missing or no number is a traceback.
"""

import re
from collections.abc import Mapping

from attrs import frozen

from daframework.errors import RunError

_TORCH = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")


@frozen
class Place:
    """One of ``ranks`` processes that compute together, and where they meet.

    ``local_rank`` is its number among the ``local_ranks`` of its machine, ``address`` and ``port`` are the first's.
    """

    rank: int = 0
    ranks: int = 1
    local_rank: int = 0
    local_ranks: int = 1
    address: str = "127.0.0.1"
    port: int = 0


ALONE = Place()


def find_place(environment: Mapping[str, str]) -> Place:
    """The place that the variables of torchrun, or those of a step of Slurm, give; that of a lone process without them.

    A job of Slurm whose command was not started by srun is a lone process, however many tasks the job may have.

    Raises:
        RunError: some of the variables are missing or make no sense.
    """
    try:
        if int(environment.get("WORLD_SIZE", 1)) > 1:
            return _torch_place(environment)
        if int(environment.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
            return _slurm_place(environment)
    except KeyError as error:
        lacking = f"the environment is that of several processes, and has no {error.args[0]}"
        raise RunError(f"{lacking}; start them with torchrun, srun or daf run --devices") from error
    except ValueError as error:
        raise RunError(f"the environment's word on which process this is makes no sense: {error}") from error
    return ALONE


def variables(place: Place) -> dict[str, str]:
    """The environment of the process at ``place``, as torchrun would set it."""
    values = (place.rank, place.ranks, place.address, place.port)
    local = {"LOCAL_RANK": str(place.local_rank), "LOCAL_WORLD_SIZE": str(place.local_ranks)}
    return dict(zip(_TORCH, map(str, values), strict=True)) | local


def _torch_place(environment: Mapping[str, str]) -> Place:
    rank, ranks, address, port = (environment[name] for name in _TORCH)
    local_ranks = int(environment.get("LOCAL_WORLD_SIZE", 1))
    local_rank = int(environment.get("LOCAL_RANK", int(rank) % local_ranks))
    return _checked(Place(int(rank), int(ranks), local_rank, local_ranks, address, int(port)))


def _slurm_place(environment: Mapping[str, str]) -> Place:
    # The first machine of a list such as "gpu[03-05,9],login1".
    first = re.sub(r"\[([^],-]+)[^]]*\]", r"\1", environment["SLURM_STEP_NODELIST"]).split(",")[0]
    address = environment.get("MASTER_ADDR", first)
    # Two steps of a job may run side by side on one machine.
    step = int(environment["SLURM_JOB_ID"]) * 31 + int(environment.get("SLURM_STEP_ID", 0))
    port = int(environment.get("MASTER_PORT", 15_000 + step % 20_000))
    # As in "4(x2),3": two machines with four tasks and one with three.
    on_each: list[int] = []
    for part in environment["SLURM_STEP_TASKS_PER_NODE"].split(","):
        tasks, _, times = part.partition("(x")
        on_each += [int(tasks)] * int(times.rstrip(")") or 1)
    local_ranks = on_each[int(environment["SLURM_NODEID"])]
    rank, ranks = int(environment["SLURM_PROCID"]), int(environment["SLURM_STEP_NUM_TASKS"])
    return _checked(Place(rank, ranks, int(environment["SLURM_LOCALID"]), local_ranks, address, port))


def _checked(place: Place) -> Place:
    if not (0 <= place.rank < place.ranks and 0 <= place.local_rank < place.local_ranks <= place.ranks):
        raise ValueError(f"rank {place.rank} of {place.ranks}, {place.local_rank} of {place.local_ranks} on its node")
    return place
