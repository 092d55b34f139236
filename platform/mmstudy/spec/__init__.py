"""What a human writes, read and checked: spec, search space, sections and their faults."""
