"""Tables about a study: pure functions of what is stored, without torch."""
