"""Members, blend, CRF, clean-up: from stores to label maps."""
