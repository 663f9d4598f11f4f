"""shoestring train addnist-quick --log-to examples/trackers/trackio_tracker.py:TrackioTracker."""

import trackio


class TrackioTracker:
    def __init__(self, folder):
        pass

    def start(self, name, recipe, step):
        self.run = trackio.init(project="shoestring", name=name, resume="allow", config=recipe)

    def scalars(self, values, step):
        self.run.log(values, step=step)

    def image(self, name, picture, step):
        self.run.log({name: trackio.Image(picture)}, step=step)

    def finish(self, metrics):
        self.run.log({f"final/{name}": value for name, value in metrics.items()})
        self.run.finish()
