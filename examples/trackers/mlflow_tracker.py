"""shoestring train addnist-quick --log-to examples/trackers/mlflow_tracker.py:MlflowTracker."""

from mlflow import MlflowClient


class MlflowTracker:
    def __init__(self, folder):
        self.client = MlflowClient()  # MLFLOW_TRACKING_URI says where to

    def start(self, name, recipe, step):
        before = self.client.search_runs(["0"], f"attributes.run_name = '{name}'") if step else []
        self.run = (before[0] if before else self.client.create_run("0", run_name=name)).info.run_id
        for field, value in recipe.items():
            self.client.log_param(self.run, field, value)

    def scalars(self, values, step):
        for name, value in values.items():
            self.client.log_metric(self.run, name, value, step=step)

    def image(self, name, picture, step):
        self.client.log_image(self.run, picture, key=name, step=step)

    def finish(self, metrics):
        self.scalars({f"final/{name}": value for name, value in metrics.items()}, 0)
        self.client.set_terminated(self.run)
