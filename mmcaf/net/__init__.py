"""MMCAF-Net, block by block."""
