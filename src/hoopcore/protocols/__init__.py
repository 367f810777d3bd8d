"""One folder a protocol.  What they share is ``hoopcore.stream``."""
