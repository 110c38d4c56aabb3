"""The segmenters of this project, by kind."""

from models.segmentation.base import Segmenter
from models.segmentation.deepmedic import DeepMedic
from models.segmentation.ensemble import Ensemble
from models.segmentation.msnet import MSNet
from models.segmentation.own import GliomaNet

SEGMENTERS: dict[str, type[Segmenter]] = {
    "glioma-net": GliomaNet,
    "msnet": MSNet,
    "deepmedic": DeepMedic,
    "ensemble": Ensemble,
}
