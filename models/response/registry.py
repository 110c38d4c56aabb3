"""The drug effects of this project, by kind."""

from models.response.base import DrugEffect
from models.response.emax import Emax
from models.response.growth_modulation import GrowthModulation
from models.response.log_kill import LogKill

DRUG_EFFECTS: dict[str, type[DrugEffect]] = {
    "emax": Emax,
    "growth-modulation": GrowthModulation,
    "log-kill": LogKill,
}
