"""The response criteria of this project, by kind."""

from models.criteria.base import Criteria
from models.criteria.rano import RanoEnhancing, RanoNonEnhancing, RanoVolume
from models.criteria.recist import Recist

CRITERIA: dict[str, Criteria] = {
    "rano-enhancing": RanoEnhancing(),
    "rano-non-enhancing": RanoNonEnhancing(),
    "rano-volume": RanoVolume(),
    "recist": Recist(),
}
