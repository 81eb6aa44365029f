"""Everything about running a model and nothing about a task: checkpoints, optimisation, hooks."""
