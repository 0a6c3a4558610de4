"""The edge that speaks the OCI distribution specification, and its token service."""
