"""The one exception that a user is meant to read."""


class FoldsegError(Exception):
    """Something that the user can mend: bad input, a missing file, an impossible setting.

    The message names the file, id or key, says what was found and what was expected. Scripts print it
    without a traceback and exit with code 1; any other exception is a defect of foldseg.
    """
