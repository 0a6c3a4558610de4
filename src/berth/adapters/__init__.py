"""The outside world, behind `services/ports.py`: Docker, git, other registries, keys, the database."""
