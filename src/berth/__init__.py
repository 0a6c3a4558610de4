"""Berth: self-hosted codespaces that open private images."""
