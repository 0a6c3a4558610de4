"""What the HTTP edges (REST, the console, git, the registry) share; none of them is imported here."""
