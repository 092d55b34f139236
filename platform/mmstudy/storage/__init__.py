"""Every file of a study: its place, its columns, who may write it, and its copy in a store."""
