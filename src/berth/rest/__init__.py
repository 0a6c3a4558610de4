"""GitHub's REST API: routes, what each accepts and shows. Rules live in `domain`, use cases in `services`."""
