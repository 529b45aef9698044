"""Sources: settings, what is reported, what can be read, and what a failing server becomes."""
