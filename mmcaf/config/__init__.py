"""What a trial is built from, besides the network, and what every config class is made with.

`settings` makes a class refuse wrong fields, all at once and in words; `data` and `training` hold
the windows a network sees and how it is trained. A study is validated, and a dashboard opened,
without torch, so nothing here imports it.
"""

from mmcaf.config.data import DataConfig, HuWindow
from mmcaf.config.training import Part, Precision, Schedule, Stage, TrainConfig

__all__ = ["DataConfig", "HuWindow", "Part", "Precision", "Schedule", "Stage", "TrainConfig"]
