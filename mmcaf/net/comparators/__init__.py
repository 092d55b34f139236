"""The published networks MMCAF-Net is compared with, and its own ablations, on one shared trunk.

A network is one folder: `__init__.py` has its config and its entry, `NETWORK`, without torch, so
that a study is validated, opened and compared where torch is not installed; `network.py` has the
network. Its search space is `search_spaces/models/<row>.yaml`. Nothing else names it: the registry
lists the folders.
"""
