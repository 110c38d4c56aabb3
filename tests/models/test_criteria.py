"""Response categories: worked examples with their sources, and what holds for every criteria."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.criteria.base import Response, TargetSize, Visit
from models.criteria.rano import PRODUCTS, VOLUMES
from models.criteria.registry import CRITERIA

RECIST = CRITERIA["recist"]
RANO, NON_ENHANCING = CRITERIA["rano-enhancing"], CRITERIA["rano-non-enhancing"]
GONE = {"steroids": "none", "clinical": "stable or better"}


def targets(sizes, node=()):
    """Longest diameters by number; None where it was not measured, a tuple for two diameters."""
    pairs = [s if isinstance(s, tuple) else (s, s) for s in sizes]
    found = tuple(
        TargetSize(
            lesion=f"L{n}", longest_mm=a, perpendicular_mm=b, volume_mm3=a * b * b,
            is_node=n in node,
        )
        for n, (a, b) in enumerate(pairs, 1) if a is not None
    )  # fmt: skip
    missing = tuple(f"L{n}" for n, (a, _) in enumerate(pairs, 1) if a is None)
    return found, missing


def visits(*rows, node=(), **all_of_them):
    """A visit every eight weeks from rows of sizes, each perhaps with what else is known."""
    made = []
    for n, row in enumerate(rows):
        sizes, more = row if isinstance(row, tuple) and isinstance(row[1], dict) else (row, {})
        found, missing = targets(sizes, node)
        made.append(
            Visit(day=56.0 * n, targets=found, not_measured=missing, **(all_of_them | more))
        )
    return made


def categories(criteria, *rows, node=(), **more):
    return [r.category for r in criteria.assess(visits(*rows, node=node, **more))][1:]


# What was measured (mm, short axes of nodes), and the response at each later visit.
# pharmaversesdtm: github.com/pharmaverse/pharmaversesdtm, data-raw/tr_onco_recist.R, subjects in order.
# EORTC: recist.eortc.org, "Managing PR when TP measurements change slightly over time".
# Eisenhauer 2009: the text and table 1. Arithmetic: the definitions of its section 4.3.1.
RECIST_EXAMPLES = {
    "EORTC: a confirmed PR holds": (
        [[100], [70], [70], [80], [80], [80]], (), ["PR", "PR", "PR", "PR", "PR"]),
    "pharmaversesdtm: NE, then CR with a node of 7 mm": (
        [[21, 32, 24, 19], [20, 34, 24, 18], [20, None, None, 18], [0, 7, 0, 0]], (2,),
        ["SD", "NE", "CR"]),
    "pharmaversesdtm: PD although one target is not measured": (
        [[16, 22, 21, 17, 18], [16, 21, 19, 17, 18], [None, 34, 41, 26, 9]], (), ["SD", "PD"]),
    "pharmaversesdtm: CR with a sum of 10 mm, all of it nodes": (
        [[31, 42, 17], [31, 34, 9], [19, 21, 4], [7, 0, 3]], (1, 3), ["SD", "PR", "CR"]),
    "pharmaversesdtm: NE between partial responses": (
        [[27, 51], [24, 48], [15, 23], [14, None], [14, 19]], (), ["SD", "PR", "NE", "PR"]),
    "pharmaversesdtm: growth counts from nadir": (
        [[35, 22, 33], [31, 24, 33], [37, 28, 31], [42, 39, 43]], (3,), ["SD", "SD", "PD"]),
    "Eisenhauer 2009: 50 mm in three, 80 mm in the two that were measured, is PD": (
        [[20, 15, 15], [40, 40, None]], (), ["PD"]),
    "arithmetic: exactly 30 % less": ([[100], [70]], (), ["PR"]),
    "arithmetic: not quite 30 % less": ([[100], [70.5]], (), ["SD"]),
    "arithmetic: exactly 20 % more than nadir": ([[150], [100], [120]], (), ["PR", "PD"]),
    "arithmetic: 20 % more, but 4 mm": ([[30], [20], [24]], (), ["PR", "SD"]),
    "arithmetic: 5 mm more, but under 20 %": ([[100], [80], [95]], (), ["SD", "SD"]),
    "arithmetic: back from nothing": ([[20], [0], [12]], (), ["CR", "PD"]),
}  # fmt: skip


@pytest.mark.parametrize("name", RECIST_EXAMPLES)
def test_recist_gives_the_category_of_the_worked_example(name):
    sizes, nodes, expected = RECIST_EXAMPLES[name]
    assert categories(RECIST, *sizes, node=nodes) == expected


def test_recist_a_lesion_that_is_back_after_complete_response_is_progression():
    # recist.eortc.org: what reappears after complete response is progression, else it is measured again.
    assert categories(RECIST, [40], [0], [4]) == ["CR", "PD"]
    assert categories(RECIST, [40, 40], [0, 20], [4, 20]) == ["PR", "PR"]
    gone, back = {"non_target": "gone"}, {"non_target": "present"}
    assert categories(RECIST, [40], ([0], gone), ([0], back)) == ["CR", "PD"]


def test_what_follows_a_progression_says_so():
    *_, last = RECIST.assess(visits([40], [60], [40]))
    assert (last.category, last.progressed_on) == ("SD", 56.0)


# Wen 2023 doi:10.1200/JCO.23.01059: four weeks on, and within twelve weeks of radiotherapy for progression too.
def test_rano_asks_for_a_second_scan_and_says_what_it_showed():
    alone = RANO.assess(visits([(40, 20)], [(20, 20)], **GONE))[1]
    assert alone.unknown == ("confirmation by a scan 28 days on",)
    _, first, second = RANO.assess(visits([(40, 20)], [(20, 20)], [(20, 18)], **GONE))
    assert (first.unknown, first.confirmation) == ((), "confirmed on day 112")
    assert (second.unknown, second.confirmation) == ((), "")
    early = ([(50, 20)], {"days_since_radiotherapy": 50})
    later = {"days_since_radiotherapy": 106}
    dismissed = RANO.assess(visits([(40, 20)], early, ([(40, 20)], later), **GONE))
    assert dismissed[1].confirmation == "not confirmed on day 112 (SD)"
    assert dismissed[2].progressed_on is None
    held = RANO.assess(visits([(40, 20)], early, ([(60, 20)], later), **GONE))
    assert held[1].confirmation == "confirmed on day 112"
    assert held[2].progressed_on == 56.0


# Eisenhauer 2009, table 1: targets, lesions that are not measured, new lesion, overall.
SIZES = {"CR": 0, "PR": 60, "SD": 90, "PD": 130, "NE": None}
TABLE_1 = [
    ("CR", "gone", "no", "CR"),
    ("CR", "present", "no", "PR"),
    ("CR", "unknown", "no", "PR"),
    ("PR", "present", "no", "PR"),
    ("PR", "unknown", "no", "PR"),
    ("SD", "present", "no", "SD"),
    ("SD", "unknown", "no", "SD"),
    ("NE", "present", "no", "NE"),
    *[("PD", other, new, "PD") for other in ("gone", "present") for new in ("no", "yes")],
    *[(target, "progressed", "no", "PD") for target in SIZES],
    *[(target, "present", "yes", "PD") for target in SIZES],
]


@pytest.mark.parametrize(("target", "other", "new", "overall"), TABLE_1)
def test_recist_overall_response_is_that_of_its_first_table(target, other, new, overall):
    more = {"non_target": other, "new_lesion": new}
    assert categories(RECIST, [100], ([SIZES[target]], more)) == [overall]


# Eisenhauer 2009, table 2: nothing measurable at baseline.
@pytest.mark.parametrize(
    ("other", "new", "overall"),
    [
        ("gone", "no", "CR"),
        ("none", "no", "NE"),
        ("present", "no", "non-CR/non-PD"),
        ("unknown", "no", "NE"),
        ("progressed", "no", "PD"),
        ("present", "yes", "PD"),
    ],
)
def test_recist_without_targets_is_that_of_its_second_table(other, new, overall):
    assert categories(RECIST, [], ([], {"non_target": other, "new_lesion": new})) == [overall]


# Diameters (mm). Thresholds: Wen 2010 doi:10.1200/JCO.2009.26.3541 and Wen 2023 doi:10.1200/JCO.23.01059; minor
# response: van den Bent 2011 doi:10.1016/S1470-2045(11)70057-2 and the table of PMC6303427.
RANO_EXAMPLES = {
    "products: 816 to 500 mm², 39 % less, is no response": (
        RANO, [[(30, 20), (18, 12)], [(24, 15), (14, 10)]], ["SD"]),
    "the same without enhancement is a minor one": (
        NON_ENHANCING, [[(30, 20), (18, 12)], [(24, 15), (14, 10)]], ["MR"]),
    "half": (RANO, [[(40, 20)], [(20, 20)]], ["PR"]),
    "a quarter more than nadir, less than baseline": (
        RANO, [[(40, 20)], [(20, 20)], [(25, 20)]], ["PR", "PD"]),
    "a quarter less without enhancement": (NON_ENHANCING, [[(40, 20)], [(30, 20)]], ["MR"]),
    "gone": (RANO, [[(40, 20)], [(0, 0)]], ["CR"]),
    "gone, then back, small, then large": (
        RANO, [[(40, 20)], [(0, 0)], [(8, 8)], [(12, 10)]], ["CR", "SD", "PD"]),
}  # fmt: skip


@pytest.mark.parametrize("name", RANO_EXAMPLES)
def test_rano_gives_the_category_of_the_worked_example(name):
    criteria, sizes, expected = RANO_EXAMPLES[name]
    assert categories(criteria, *sizes, **GONE) == expected


@pytest.mark.parametrize(
    ("more", "overall", "because"),
    [
        ({}, "CR", "every target is gone"),
        ({"non_target": "present"}, "PR", "not measured are not"),
        ({"steroids": "less"}, "PR", "on corticosteroids"),
        ({"steroids": "more"}, "NE", "more corticosteroids than at baseline: observe"),
        ({"clinical": "worse"}, "PD", "worse clinically"),
        ({"new_lesion": "yes"}, "PD", "new measurable lesion"),
        ({"non_target": "progressed"}, "PD", "clearly grown"),
    ],
)
def test_rano_weighs_steroids_and_the_patient_beside_the_image(more, overall, because):
    *_, response = RANO.assess(visits([(40, 20)], ([(0, 0)], GONE | more)))
    assert (response.targets, response.category) == ("CR", overall)
    assert because in response.reason


def test_a_raised_dose_of_steroids_alone_is_no_progression():
    # Wen 2010, table 4, footnote; Wen 2023
    rows = [(40, 20)], ([(40, 20)], {"steroids": "more", "clinical": "stable or better"})
    assert categories(RANO, *rows) == ["NE"]


def test_what_looks_like_progression_soon_after_radiotherapy_is_to_be_confirmed():
    # 1200 to 1800 mm² eight weeks after radiotherapy
    rows = [(40, 30)], ([(50, 36)], GONE | {"days_since_radiotherapy": 56})
    *_, response = RANO.assess(visits(*rows))
    assert response.category == "PD"
    assert "confirmation" in response.unknown[0]
    later = [(40, 30)], ([(50, 36)], GONE | {"days_since_radiotherapy": 100})
    assert RANO.assess(visits(*later))[-1].unknown == ()


def test_a_volume_responds_by_65_and_progresses_by_40_percent():
    # 12.0 to 4.0 mL; the shares are those of a ball whose product changes by 50 and 25 %
    def at(volumes):
        return [
            Visit(
                day=56.0 * n, **GONE,
                targets=(
                    TargetSize(lesion="L1", longest_mm=9, perpendicular_mm=9, volume_mm3=v),
                ),
            )
            for n, v in enumerate(volumes)
        ]  # fmt: skip

    found = CRITERIA["rano-volume"].assess(at([12_000, 4_000, 5_500, 5_700]))
    assert [r.category for r in found] == ["baseline", "PR", "SD", "PD"]
    of_ball = 1 - (1 - PRODUCTS.partial) ** 1.5, (1 + PRODUCTS.progression) ** 1.5 - 1
    assert (VOLUMES.partial, VOLUMES.progression) == pytest.approx(of_ball, abs=0.005)


def test_what_is_not_known_is_named_and_never_taken_for_known():
    unknown = {"new_lesion": "unknown", "non_target": "unknown"}
    for kind, criteria in CRITERIA.items():
        *_, response = criteria.assess(visits([(40, 20)], ([(40, 20)], unknown)))
        assert response.category == "SD"
        assert "whether there is a new lesion" in response.unknown
        assert ("corticosteroids" in response.unknown) == kind.startswith("rano")


@pytest.mark.parametrize(
    ("criteria", "size", "slices", "slice_mm", "measurable"),
    [
        ("rano-enhancing", (10, 10), 2, 1.0, True),
        ("rano-enhancing", (30, 9.9), 9, 1.0, False),
        ("rano-enhancing", (30, 20), 1, 5.0, False),
        ("rano-enhancing", (13, 13), 2, 6.5, True),
        ("rano-enhancing", (12, 12), 2, 6.5, False),
        ("recist", (10, 4), 1, 5.0, True),
        ("recist", (15, 4), 1, 8.0, False),
    ],
)
def test_a_target_is_large_enough_to_be_measured_again(
    criteria, size, slices, slice_mm, measurable
):
    ((target,), _) = targets([size])
    assert CRITERIA[criteria].is_measurable(target, slices, slice_mm) == measurable


def test_a_lymph_node_counts_by_its_short_axis_and_is_a_target_from_15_mm():
    (node,), _ = targets([(30, 15)], node=(1,))
    assert RECIST.size(node) == 15
    assert RECIST.is_measurable(node, 3, 1.0)
    (small,), _ = targets([(30, 14)], node=(1,))
    assert not RECIST.is_measurable(small, 3, 1.0)


def test_targets_stay_the_same_lesions_and_visits_come_in_order():
    one, two = visits([40, 20], [40, 20])
    with pytest.raises(ValueError, match="a target stays one at every visit"):
        RECIST.assess([one, two.model_copy(update={"targets": two.targets[:1]})])
    with pytest.raises(ValueError, match="in order of their days"):
        RECIST.assess([two, one])
    with pytest.raises(ValueError, match="at baseline every target is measured"):
        RECIST.assess(visits([40, None], [40, 20]))
    with pytest.raises(ValueError, match="no visit"):
        RECIST.assess([])


sizes_ = st.lists(st.floats(10, 80), min_size=1, max_size=3)


@pytest.mark.parametrize("kind", CRITERIA)
@given(first=sizes_, factors=st.lists(st.floats(0.05, 3), min_size=1, max_size=5))
def test_larger_sums_never_give_a_better_category(kind, first, factors):
    order = ["CR", "PR", "MR", "SD", "PD"]
    criteria = CRITERIA[kind]
    for factor in factors:
        smaller, larger = (
            criteria.assess(visits(first, [f * s for s in first], **GONE))[-1].category
            for f in (factor, 1.3 * factor)
        )
        assert order.index(smaller) <= order.index(larger)


@pytest.mark.parametrize("kind", CRITERIA)
@given(first=sizes_, second=sizes_)
def test_the_order_of_targets_does_not_matter(kind, first, second):
    second = (second * 3)[: len(first)]
    forward = CRITERIA[kind].assess(visits(first, second, **GONE))
    backward = CRITERIA[kind].assess(visits(first[::-1], second[::-1], **GONE))
    assert [r.category for r in forward] == [r.category for r in backward]


def test_what_a_category_is_worth_is_said_with_it():
    told = Response(
        day=90, burden=1.0, targets="PD", category="PD", reason="grew",
        unknown=("radiotherapy", "clinical status"), confirmation="not confirmed yet", progressed_on=30.0,
    )  # fmt: skip
    assert told.provisos == (
        "Not confirmed yet.", "After progression on day 30.",
        "Provisional, not known: radiotherapy; clinical status.",
    )  # fmt: skip
