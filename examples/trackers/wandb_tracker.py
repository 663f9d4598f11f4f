"""shoestring train addnist-quick --log-to examples/trackers/wandb_tracker.py:WandbTracker."""

import wandb


class WandbTracker:
    def __init__(self, folder):
        self.folder = folder

    def start(self, name, recipe, step):
        self.run = wandb.init(project="shoestring", name=name, id=name, resume="allow", config=recipe, dir=self.folder)

    def scalars(self, values, step):
        self.run.log(values, step=step)

    def image(self, name, picture, step):
        self.run.log({name: wandb.Image(picture)}, step=step)

    def finish(self, metrics):
        self.run.summary.update(metrics)
        self.run.finish()
