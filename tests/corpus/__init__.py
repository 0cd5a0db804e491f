"""Files that are bad in every way we know, and the contract that every command keeps with them."""
