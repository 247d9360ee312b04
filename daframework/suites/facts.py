"""What a table must be read with: data, sizes, budgets, seeds, commit and machine."""

from collections.abc import Sequence

from daframework.recipes.tables import ComponentTable
from daframework.scores import Metric
from daframework.storage.results import Results
from daframework.suites.plan import Plan

_LONG = 60  # characters of an option


def facts(plan: Plan, task: str, results: Sequence[Results], metric: Metric) -> list[str]:
    """Lines to stand under the table of a task; ``results`` are those in it."""
    recipes = [cell.recipe for cell in plan.cells if cell.task == task]
    recipe = recipes[0]
    data, downstream = recipe.data, recipe.downstream
    images = next((one.images for one in results if one.images), {})
    counts = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in images.items())
    resized = f", resized to {_size(data.resize)}" if data.resize else ""
    budgets = {
        f"{one.translation.steps} steps of {one.data.batch_size}"
        for one in recipes
        if one.translation is not None and one.translation.steps
    }
    lines = [
        f"{component_text(recipe.source)} to {component_text(recipe.target)}; images: {counts or 'not counted'}; "
        f"crops of {_size(data.crop_size)}{resized} (height x width)",
        f"translation: {' or '.join(sorted(budgets)) or 'nothing is trained'}; task {component_text(recipe.task)}: "
        f"{downstream.steps} steps of {downstream.batch_size}; seeds {', '.join(map(str, plan.seeds))}",
    ]
    lines += dict.fromkeys(one.note for one in results if one.note)
    if plan.baseline is not None:
        interval = ""
        if plan.bootstrap:
            draws = f"{plan.bootstrap} bootstrap draws of the test images, paired by image and seed"
            interval = f", with the 95 % interval of {draws}"
        unit = f"{metric.shown_in.removeprefix(', ')}; " if metric.unit else ""
        better = "" if metric.higher_is_better else ", lower is better"
        lines.append(f"{unit}vs {plan.baseline}: difference of {metric.title}{better}{interval}")
    return lines + [f"made by {made}" for made in sorted({maker(one) for one in results})]


def _size(size: Sequence[int] | None) -> str:
    return " x ".join(map(str, size or ()))


def component_text(table: ComponentTable) -> str:
    """A component's name with its options, but for those that are no fact in a line: the recipe has them all."""
    told = {key: str(value) for key, value in table.options.items() if key not in ("classes", "ids")}
    options = ", ".join(f"{key} {value}" for key, value in told.items() if len(value) <= _LONG)
    return f"{table.name} ({options})" if options else table.name


def maker(results: Results) -> str:
    """Version, commit, machine and day of a run."""
    environment = results.environment
    version = environment.get("versions", {}).get("daframework")
    machine = environment.get("processor") if environment.get("device") == "cpu" else environment.get("device")
    day = str(environment.get("date", "")).partition("T")[0]
    cores = f"{environment.get('threads', '?')} of {environment.get('cores', '?')} cores a run"
    return f"daframework {version}, commit {environment.get('commit') or 'unknown'}, on {machine}, {cores}, {day}"
