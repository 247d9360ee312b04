"""A colour matrix as a generator, and a loss that trains it."""

from pathlib import Path

from daframework import hookimpl


@hookimpl
def daf_generators():
    from daf_tiny.generator import ColourMatrix

    return {"tiny": ColourMatrix}


@hookimpl
def daf_losses():
    from daf_tiny.loss import MeanColour

    return {"mean_colour": MeanColour}


@hookimpl
def daf_recipes():
    return Path(__file__).parent / "recipes"
