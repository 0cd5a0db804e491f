"""Writers, readers and validators, one file per format; the ledger."""
