"""One trial: computed and recorded, in whatever process it runs."""
