"""The study engine: hyperparameter studies of MMCAF-Net, their record and the command `mmstudy`."""
