"""MMCAF-Net for lung CT: data, network, training, metrics. Knows nothing of studies."""
