"""A few of many, such as images to look at."""


def evenly_spread(total: int, most: int) -> list[int]:
    """At most ``most`` of ``total`` indices, rising and spread over all: i * total // count for i below their count."""
    count = min(most, total)
    return [i * total // count for i in range(count)]
