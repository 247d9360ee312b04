"""Images a second of the rendered streets, on one core: ``python benchmarks/speed/streets.py [height width]``."""

import os
import sys
import time

from daf_streets.streets import Streets

IMAGES = 100
ROUNDS = 8  # each image's best one counts: what else the machine does only ever slows it down


def images_per_second(look: str, size: tuple[int, int]) -> float:
    """How many images a core makes in a second, from each image's best time in `ROUNDS` rounds."""
    dataset = Streets(look=look, split="train", size=size, train_images=IMAGES)
    dataset[0]
    best = [float("inf")] * IMAGES
    for _ in range(ROUNDS):
        for index in range(IMAGES):
            start = time.perf_counter()
            dataset[index]
            best[index] = min(best[index], time.perf_counter() - start)
    return IMAGES / sum(best)


if __name__ == "__main__":
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    height, width = (int(side) for side in sys.argv[1:]) if len(sys.argv) == 3 else (64, 96)
    for look in ("game", "camera"):
        print(f"{look:6s} {height}x{width}: {images_per_second(look, (height, width)):.0f} images/s on one core")
