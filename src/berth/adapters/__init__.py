"""The outside world, behind `services/ports/`: Docker, git, other registries, keys, the database."""
