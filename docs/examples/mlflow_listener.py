"""MLflow: losses, samples, the recipe's keys and the results, in the store that MLFLOW_TRACKING_URI names."""

import json
import time

from daframework import hookimpl


@hookimpl
def daf_listener(run_folder, recipe):
    if "mlflow" not in recipe.log.to:
        return None
    from mlflow import MlflowClient
    from mlflow.entities import Metric, Param

    from daframework.listener import Listener
    from daframework.recipes.read import dump, flat

    class Mlflow(Listener):
        def __init__(self):
            self.client = MlflowClient()
            kept = run_folder / "mlflow_run.txt"  # a run that goes on is the same run of MLflow
            if not kept.exists():
                known = self.client.get_experiment_by_name(recipe.name)
                experiment = known.experiment_id if known else self.client.create_experiment(recipe.name)
                self.run = self.client.create_run(experiment, run_name=f"seed{recipe.seed}").info.run_id
                keys = [Param(key, json.dumps(value)) for key, value in flat(dump(recipe)).items()]
                for first in range(0, len(keys), 100):  # as many as it takes at once
                    self.client.log_batch(self.run, params=keys[first : first + 100])
                kept.write_text(self.run)
            self.run, self.stage = kept.read_text(), ""

        def begin(self, stage, total, done):
            self.stage = stage

        def values(self, step, values):
            now = int(1000 * time.time())
            metrics = [Metric(f"{self.stage}/{name}", value, now, step) for name, value in values.items()]
            self.client.log_batch(self.run, metrics=metrics)

        def image(self, name, step, image):
            self.client.log_image(self.run, image.permute(1, 2, 0).numpy(), f"{name}/step_{step:06d}.png")

        def end(self, results):
            for metric in (one["name"] for one in results["metrics"]) if results else ():
                for row in results["rows"]:
                    if row[metric] is not None:
                        self.client.log_metric(self.run, f"{metric}/{row['method']}", row[metric])
            self.client.set_terminated(self.run, "FINISHED" if results else "KILLED")

    return Mlflow()
