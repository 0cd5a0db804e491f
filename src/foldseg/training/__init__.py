"""One fold, from its configuration to its best checkpoint."""
