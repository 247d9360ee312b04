"""Which values to try next: Optuna's tree-structured Parzen estimator (Bergstra et al., NIPS 2011).

Optuna keeps nothing: what was tried is told anew for each question, so that the search's own file is the one truth, and
a trial's random numbers follow from its own number, so that the same search asks the same however often it was stopped.
"""

from typing import Any

from daframework.compute.randomness import derive
from daframework.errors import needing
from daframework.tuning.space import Range, Space

Values = dict[str, Any]
_DIGITS = 4  # of a number; more would only make it harder to read


def require_optuna() -> Any:
    """The library.

    Raises:
        RunError: it is not installed.
    """
    with needing("daf tune needs Optuna", extra="tune"):
        import optuna
    return optuna


def ask(space: Space, seed: int, number: int, told: list[tuple[Values, float]], pending: list[Values]) -> Values:
    """The values of trial ``number``, given the scores ``told`` of others, the higher the better, and those still
    ``pending``, which it keeps away from. Values outside the space, as a recipe's own may be, are left out.
    """
    optuna = require_optuna()
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    try:
        sampler = optuna.samplers.TPESampler(seed=derive(seed, "tune", number) % 2**32, multivariate=True)
        study = optuna.create_study(direction="maximize", sampler=sampler)
        distributions = {key: _distribution(optuna, one) for key, one in space.items()}
        known, running = [(values, {"value": score}) for values, score in told], optuna.trial.TrialState.RUNNING
        for values, outcome in (*known, *((values, {"state": running}) for values in pending)):
            if all(values[key] in one for key, one in space.items()):
                params = {key: _parameter(one, values[key]) for key, one in space.items()}
                study.add_trial(optuna.create_trial(params=params, distributions=distributions, **outcome))
        found = study.ask(distributions).params
    finally:
        optuna.logging.set_verbosity(before)
    return {key: _value(one, found[key]) for key, one in space.items()}


def _distribution(optuna: Any, one: Range) -> Any:
    if one.choices is not None:
        return optuna.distributions.CategoricalDistribution(range(len(one.choices)))
    whole = type(one.low) is int and type(one.high) is int
    kind = optuna.distributions.IntDistribution if whole else optuna.distributions.FloatDistribution
    return kind(one.low, one.high, log=one.log)


def _parameter(one: Range, value: Any) -> Any:
    """As Optuna knows it: choices by their places, since it takes no list."""
    return value if one.choices is None else one.choices.index(value)


def _value(one: Range, parameter: Any) -> Any:
    if one.choices is not None:
        return one.choices[parameter]
    if isinstance(parameter, int):
        return parameter
    return min(one.high, max(one.low, float(f"{parameter:.{_DIGITS}g}")))
