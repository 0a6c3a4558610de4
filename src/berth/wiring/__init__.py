"""The composition root: parts first, then what is made of them. The only place that knows every adapter."""
