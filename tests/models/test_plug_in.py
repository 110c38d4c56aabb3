"""The example of a plug-in, found by its entry point as an installed package's would be."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import brentq

from data.errors import RegimenError
from data.treatment import Fraction, Regimen, Resection
from models.growth.registry import GROWTH_LAWS, PLUG_INS, growth_laws
from models.response.ensemble import Response
from models.simulation import Twin, simulate
from pipelines.simulate import law_called

EXAMPLE = Path(__file__).parents[2] / "examples" / "kuznetsov"


def offer(folder: Path, monkeypatch, entries: dict[str, str]) -> None:
    """What pip leaves of a package that offers these entries."""
    info = folder / "avatar_kuznetsov-0.1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: avatar-kuznetsov\nVersion: 0.1.0\n"
    )
    lines = "\n".join(f"{name} = {value}" for name, value in entries.items())
    (info / "entry_points.txt").write_text(f"[{PLUG_INS}]\n{lines}\n")
    monkeypatch.syspath_prepend(folder)
    monkeypatch.syspath_prepend(EXAMPLE)


@pytest.fixture
def law(tmp_path, monkeypatch):
    project = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    offer(tmp_path, monkeypatch, project["entry-points"][PLUG_INS])
    yield law_called("kuznetsov")
    sys.modules.pop("avatar_kuznetsov", None)


def test_an_installed_plug_in_is_known_beside_the_own_laws(law):
    assert list(growth_laws()) == [*GROWTH_LAWS, "kuznetsov"]
    assert law.kind == "kuznetsov"


def test_a_plug_in_that_is_no_law_or_takes_a_name_is_refused(tmp_path, monkeypatch):
    offer(tmp_path, monkeypatch, {"logistic": "avatar_kuznetsov:Kuznetsov"})
    with pytest.raises(RegimenError, match=r"called 'logistic', as another law"):
        law_called("gompertz")
    (tmp_path / "avatar_kuznetsov-0.1.0.dist-info" / "entry_points.txt").write_text(
        f"[{PLUG_INS}]\nother = avatar_kuznetsov:GROWTH\n"
    )
    with pytest.raises(RegimenError, match="no subclass of GrowthLaw"):
        law_called("gompertz")


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"gone": "avatar_kuznetsov:Nobody"}, "cannot be loaded"),
        ({"gone": "no_such_module:Law"}, "cannot be loaded"),
        ({"gone": "avatar_kuznetsov:Kuznetsov"}, "'gone' cannot be made"),
    ],
)
def test_a_broken_plug_in_is_a_sentence(tmp_path, monkeypatch, entry, said):
    offer(tmp_path, monkeypatch, entry)
    with pytest.raises(RegimenError, match=said):
        law_called("gone")


def test_the_steady_states_of_the_paper_stay_where_they_are(law):
    """Where both slopes are zero, x = a (1 - b y), which leaves one equation for y with three roots."""
    a, b, capacity = 1.636, 0.002, 5e4

    def off(y):
        x = a * (1 - b * y)
        recruited = law.recruitment * x * y / (law.half_saturation + y)
        return law.source + recruited - law.exhaustion * x * y - law.death * x

    grid = np.linspace(1e-3, 499.9, 4000)
    signs = np.sign([off(y) for y in grid])
    roots = [brentq(off, grid[n], grid[n + 1]) for n in np.flatnonzero(np.diff(signs))]
    assert len(roots) == 3
    # The paper's dormant tumor, about 8e6 cells, and its large one, about 447e6, in units of 1e6.
    assert roots[0] == pytest.approx(8.19, abs=0.05)
    assert roots[2] == pytest.approx(447.1, abs=0.5)
    state = np.array([[y * b * capacity for y in roots], [a * (1 - b * y) for y in roots]])
    rate, full = np.full(3, 0.02), np.full(3, capacity)
    for n in (0, 2):  # the middle one is a saddle
        assert law.flow(state, rate, full, 30.0)[:, n] == pytest.approx(state[:, n], rel=1e-6)


def test_its_flow_composes_and_never_leaves_what_can_be(law):
    v, r, k = np.array([1.0, 100.0, 4e4]), np.full(3, 0.02), np.full(3, 5e4)
    once = law.flow(law.start(v), r, k, 50.0)
    twice = law.flow(law.flow(law.start(v), r, k, 20.0), r, k, 30.0)
    assert twice == pytest.approx(once, rel=1e-5)
    assert (once >= 0).all()
    assert (law.tumor(once) <= k).all()
    assert law.flow(law.start(np.zeros(3)), r, k, 50.0)[0] == pytest.approx(0.0)


def test_a_regimen_is_given_to_it_as_to_every_law(law):
    one = np.ones(1)
    twin = Twin(1e4 * one, 0.02 * one, 5e4 * one, Response(0.12 * one, 8.0 * one, {}))
    share = np.exp(-(0.12 * 2 + 0.015 * 4))
    both = Regimen(
        name="x",
        fractions=(Fraction(day=0.0, dose_gy=2.0),),
        resections=(Resection(day=0.0, extent=0.5),),
    )
    left = simulate(twin, both, horizon_days=7, growth=law).volume_mm3[0, 0]
    assert left == pytest.approx(1e4 * share * 0.5)
