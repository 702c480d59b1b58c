"""A module for each resource: its calls, declared, and how each is passed on to the core."""
