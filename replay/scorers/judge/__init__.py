"""A model as a judge: its client, its prompts, the reading of its answers, and how well it agrees with people."""
