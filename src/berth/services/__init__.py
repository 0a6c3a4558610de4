"""Use cases: open a transaction, ask the domain, call a port, write the audit event."""
