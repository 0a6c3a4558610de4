"""git's smart HTTP protocol: an edge of its own, beside the REST API."""
