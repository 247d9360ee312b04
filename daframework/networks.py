"""What a recipe trains, from its tables: generators, discriminators and losses, each from random numbers of its own."""

from collections.abc import Mapping, Sequence

from attrs import frozen

from daframework.build import make_named
from daframework.compute.randomness import global_seed
from daframework.errors import RecipeError
from daframework.interfaces import Discriminator, Generator, Loss
from daframework.recipes.tables import ComponentTable, LossTable, Recipe
from daframework.registry import Plugins

DIRECTIONS = ("source_to_target", "target_to_source")
DOMAINS = ("source", "target")
_OTHER = {"source": "target", "target": "source"}


@frozen(eq=False)
class Term:
    """A loss of the recipe, with its name and weight."""

    name: str
    weight: float
    loss: Loss


@frozen(eq=False)
class Networks:
    """What is trained: generators by direction, discriminators by domain, and the losses that train them."""

    generators: Mapping[str, Generator]
    discriminators: Mapping[str, Discriminator]
    terms: Sequence[Term]

    @property
    def trained(self) -> list[Generator | Discriminator]:
        """All generators and discriminators."""
        return [*self.generators.values(), *self.discriminators.values()]

    @property
    def ask_source_model(self) -> bool:
        """Whether a loss asks for the model of ``source_only``."""
        return any(term.loss.needs_source_model for term in self.terms)


def make_generator(plugins: Plugins, recipe: Recipe, direction: str, num_classes: int) -> Generator:
    """The recipe's generator for one of the two directions."""
    assert recipe.generator is not None, "a recipe without [generator] translates nothing"
    with global_seed(recipe.seed, "generator", direction):
        generator: Generator = make_named(plugins, "generator", recipe.generator, "generator", num_classes=num_classes)
    return generator


def make_also(plugins: Plugins, recipe: Recipe, num_classes: int) -> list[Generator]:
    """The generators of ``translation.also``.

    Raises:
        RecipeError: there is no such generator, or it has weights to train.
    """
    made: list[Generator] = []
    for name in recipe.translation.also if recipe.translation else ():
        table = ComponentTable(name)
        generator: Generator = make_named(plugins, "generator", table, "translation.also", num_classes=num_classes)
        if any(weight.requires_grad for weight in generator.parameters()):
            remedy = "name generators that only measure, such as color_transfer and fda"
            raise RecipeError(f"translation.also: generator '{name}' has weights, which nothing would train; {remedy}")
        made.append(generator)
    return made


def make_discriminator(plugins: Plugins, recipe: Recipe, domain: str, num_classes: int) -> Discriminator:
    """The recipe's discriminator for one of the two domains."""
    assert recipe.discriminator is not None, "a recipe without [discriminator] has none"
    with global_seed(recipe.seed, "discriminator", domain):
        discriminator: Discriminator = make_named(
            plugins, "discriminator", recipe.discriminator, "discriminator", num_classes=num_classes
        )
    return discriminator


def make_term(plugins: Plugins, recipe: Recipe, loss: LossTable, num_classes: int, generator: Generator | None) -> Term:
    """One loss of the recipe, with its weight; ``generator`` translates from source to target.

    Raises:
        RecipeError: an option is wrong, or the loss reads the generator's sizes and there is None to read.
    """
    with global_seed(recipe.seed, "loss", loss.name):
        supplied = {"num_classes": num_classes, "generator": generator}
        return Term(loss.name, loss.weight, make_named(plugins, "loss", loss, f"losses.{loss.name}", **supplied))


def judged_domains(recipe: Recipe) -> list[str]:
    """The domains that have a discriminator: those that images are translated to."""
    if recipe.discriminator is None or recipe.translation is None:
        return []
    return [domain for domain in DOMAINS if f"{_OTHER[domain]}_to_{domain}" in recipe.translation.directions]


def make_networks(plugins: Plugins, recipe: Recipe, num_classes: int) -> Networks:
    """The generators, discriminators and losses, each initialised from a stream of its own.

    So a component's first weights do not depend on what else is in the recipe. A domain that nothing is translated to
    has no discriminator.
    """
    assert recipe.translation is not None, "a recipe without [translation] has no networks"
    directions: Sequence[str] = recipe.translation.directions
    generators = {one: make_generator(plugins, recipe, one, num_classes) for one in directions}
    discriminators = {one: make_discriminator(plugins, recipe, one, num_classes) for one in judged_domains(recipe)}
    terms = [make_term(plugins, recipe, loss, num_classes, generators[DIRECTIONS[0]]) for loss in recipe.losses]
    return Networks(generators, discriminators, terms)
