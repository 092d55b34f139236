"""A study on somebody else's cluster: checked before, sent, followed."""
