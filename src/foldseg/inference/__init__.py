"""From checkpoint to stored probability maps."""
