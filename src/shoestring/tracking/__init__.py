"""Trackers: where a training's numbers and pictures go while it runs, besides its run's folder."""
