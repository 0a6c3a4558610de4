"""The web console: server-rendered pages. How one is added: docs/console.md."""
