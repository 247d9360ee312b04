"""``daf tune``."""

from pathlib import Path

import click

from daframework.cli.bench import jobs_option, on_option
from daframework.cli.options import PATH, format_option, installed_plugins, read_recipe, recipe_options


@click.command("tune")
@recipe_options
@click.option("--trials", type=click.IntRange(min=1), default=20, show_default=True, help="How many in all.")
@click.option("--space", type=PATH, help="A TOML file of ranges by key; loss weights and learning rates unless given.")
@click.option("--out", type=PATH, help="The search's folder; tune/<name>/seed<seed> unless given.")
@jobs_option
@on_option
@format_option
def command(
    recipe: str,
    trials: int,
    space: Path | None,
    out: Path | None,
    jobs: int | None,
    on: str | None,
    form: str,
    overrides: tuple[str, ...],
    seed: int | None,
) -> None:
    """Search loss weights, learning rates or other keys of RECIPE by a score that needs no label of the target.

    RECIPE is a file, or the name of a recipe that a plugin offers (see daf recipes). Trial 0 is the recipe as it is.
    The same command again goes on where the last one stopped; the best trial is left as a recipe for daf run. It needs
    Optuna, which the extra tune installs. See docs/tune.md.
    """
    from daframework.cli.interrupt import stop_on_signal
    from daframework.report.table import make_console, show
    from daframework.tuning.search import search_folder, tune

    plugins = installed_plugins()
    path, loaded = read_recipe(plugins, recipe, overrides, seed)
    out = out or search_folder(loaded)
    # The table alone goes to standard output, so that it can be piped.
    console = make_console(stderr=True)
    click.echo(f"recipe {path}, seed {loaded.seed}, into {out}", err=True)
    with stop_on_signal("the same command goes on from there") as asked:
        made = tune(
            loaded, out, trials=trials, space=space, jobs=jobs, on=on, plugins=plugins, console=console, stopping=asked
        )
    if form == "json":
        click.echo(made.text("json"), nl=False)
    else:
        show([made.grid()], form)
    done = f"{len(made.trials)} trials are done; the best as a recipe: {made.recipe}"
    console.print(done, markup=False, highlight=False, soft_wrap=True)
