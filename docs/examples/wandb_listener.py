"""Weights & Biases: losses, samples, the recipe's keys and the results; WANDB_MODE=offline needs no network."""

from daframework import hookimpl


@hookimpl
def daf_listener(run_folder, recipe):
    if "wandb" not in recipe.log.to:
        return None
    import wandb

    from daframework.listener import Listener
    from daframework.recipes.read import dump, flat

    class Wandb(Listener):
        def __init__(self):
            self.run = wandb.init(
                project="daframework",
                group=recipe.name,
                name=f"seed{recipe.seed}",
                dir=run_folder,
                config=flat(dump(recipe)),
            )
            self.stage = ""

        def begin(self, stage, total, done):
            self.stage = stage
            self.run.define_metric(f"{stage}/*", step_metric=f"{stage}/step")  # steps begin anew in each stage

        def values(self, step, values):
            told = {f"{self.stage}/{name}": value for name, value in values.items()}
            self.run.log({f"{self.stage}/step": step, **told})

        def image(self, name, step, image):
            picture = wandb.Image(image.permute(1, 2, 0).numpy())
            self.run.log({f"{self.stage}/step": step, f"{self.stage}/{name}": picture})

        def end(self, results):
            for metric in (one["name"] for one in results["metrics"]) if results else ():
                for row in results["rows"]:
                    self.run.summary[f"{metric}/{row['method']}"] = row[metric]
            self.run.finish(exit_code=0 if results else 1)

    return Wandb()
