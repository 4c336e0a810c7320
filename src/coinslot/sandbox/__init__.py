"""Payment networks in a box, for development and tests: no account, no key, no money."""
