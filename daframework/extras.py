"""What a distribution's extras ask for, and whether it is installed in a version that will do."""

from importlib.metadata import PackageNotFoundError, metadata, version

from packaging.requirements import Requirement


def requirements(distribution: str = "daframework", extra: str = "") -> list[Requirement]:
    """What ``extra`` adds to what the distribution needs anyway; without one, the latter.

    Raises:
        PackageNotFoundError: there is no such distribution.
    """
    needed = [Requirement(line) for line in metadata(distribution).get_all("Requires-Dist") or []]
    anyway = [one for one in needed if one.marker is None or one.marker.evaluate({"extra": ""})]
    if not extra:
        return anyway
    return [one for one in needed if one.marker and one not in anyway and one.marker.evaluate({"extra": extra})]


def state(needed: Requirement) -> tuple[bool, str]:
    """Whether a package is there in a version that will do, and what to say of it."""
    try:
        installed = version(needed.name)
    except PackageNotFoundError:
        return False, f"{needed.name} is not installed"
    fits = needed.specifier.contains(installed, prereleases=True)
    return fits, f"{needed.name} {installed}{'' if fits else f' is there, and {needed.specifier} is needed'}"
