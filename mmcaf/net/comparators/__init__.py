"""The published networks MMCAF-Net is compared with, and its own ablations, on one shared trunk."""
