"""The machine: devices, ranks, precision, random numbers, threads, signals and what a step costs."""
