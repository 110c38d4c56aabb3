"""The segmenters of this project, by kind."""

from models.segmentation.base import Segmenter
from models.segmentation.deepmedic import DeepMedic
from models.segmentation.ensemble import Ensemble
from models.segmentation.msnet import MSNet
from models.segmentation.own import GliomaNet
from models.segmentation.sarcoma import SarcomaNet
from models.segmentation.suv_threshold import SuvThreshold

SEGMENTERS: dict[str, type[Segmenter]] = {
    "glioma-net": GliomaNet,
    "msnet": MSNet,
    "deepmedic": DeepMedic,
    "ensemble": Ensemble,
    "sarcoma-net": SarcomaNet,
    "suv-threshold": SuvThreshold,
}
