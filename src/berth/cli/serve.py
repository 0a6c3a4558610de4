"""`berth serve`."""

from importlib import import_module

from berth.settings import read_settings


def serve() -> None:
    """Run the server. Its settings are BERTH_* variables and berth.toml (docs/settings.md)."""
    settings = read_settings()
    # Only now: with the whole server imported every other command would start several times slower.
    import_module("berth.server").serve(settings)
