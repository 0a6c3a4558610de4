"""The command line: one module per noun, one function per verb; nothing here decides anything."""
