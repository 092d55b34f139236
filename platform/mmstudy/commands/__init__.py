"""The commands of `mmstudy`, by theme; each module adds its own to the one app."""
