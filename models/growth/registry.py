"""The growth laws of this project by kind, and those of installed plug-ins beside them."""

from importlib.metadata import entry_points

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
PLUG_INS = "cancer_avatars.growth"
"""Group of entry points under which a package offers a law; see examples/kuznetsov."""


def growth_laws() -> dict[str, type[GrowthLaw]]:
    """All laws by kind, the own ones first.

    Raises:
        ValueError: a plug-in that is no growth law, or takes the kind of another.
    """
    found = dict(GROWTH_LAWS)
    for offered in entry_points(group=PLUG_INS):
        try:
            law = offered.load()
        except Exception as error:  # whatever a package may raise on its import
            raise ValueError(f"the plug-in {offered.value} cannot be loaded ({error})") from error
        if not (isinstance(law, type) and issubclass(law, GrowthLaw)):
            raise ValueError(f"the plug-in {offered.value} is no subclass of GrowthLaw")
        if offered.name in found:
            raise ValueError(
                f"the plug-in {offered.value} is called {offered.name!r}, as another law"
            )
        found[offered.name] = law
    return found
