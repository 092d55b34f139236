"""Bad luck in earnest: kills, power cuts, copies of running studies, wrong clocks, twin drivers.

Real commands on the cheapest study there is; `tests/mmstudy/test_soak.py` runs a seeded sample, and
`make soak` the whole.
"""
