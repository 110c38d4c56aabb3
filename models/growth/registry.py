"""The growth laws of this project, by kind."""

from models.growth.base import GrowthLaw
from models.growth.competition import Competition
from models.growth.exponential import Exponential
from models.growth.gompertz import Gompertz
from models.growth.logistic import Logistic

GROWTH_LAWS: dict[str, type[GrowthLaw]] = {
    "competition": Competition,
    "exponential": Exponential,
    "gompertz": Gompertz,
    "logistic": Logistic,
}
