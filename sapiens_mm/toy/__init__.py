"""Toy humans: procedural people, ray-cast, with exact ground truth for every task.

``scene.render_scene`` makes one picture with all its labels; ``dataset.make_toy_dataset`` writes data sets of them.
"""
