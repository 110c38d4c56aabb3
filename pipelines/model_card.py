"""The model card of a shipped survival model: TRIPOD+AI's 27 items (BMJ 2024;385:e078378), none left "
"blank.
"""

from __future__ import annotations

from collections.abc import Iterator

from data.cohort import UNKNOWN
from models.survival.bands import LEVEL
from models.survival.cox import Ratio
from models.survival.families.cox import Cox
from pipelines.ship_survival import AGE_ONLY, BASELINE, REPEATS, Shipped
from pipelines.subgroups import Subgroup
from pipelines.validate_survival import Validation


def model_card(shipped: Shipped) -> str:
    """Markdown."""
    model, config, card = shipped.model, shipped.config, shipped.config.card
    items = [
        ("1 Title", f"Development{_and_evaluation(shipped)} of a model that predicts {model.title}."),
        ("2 Abstract", _abstract(shipped)),
        ("3a Background", card.context),
        ("3b Population and users", card.population),
        ("3c Health inequalities", card.inequalities),
        ("4 Objectives", "Curves that are calibrated, with bands, for comparison; not an aid to a decision."),
        ("5a Data", f"{model.trained_on}. Table `{config.cohort.file}`, sha256 `{model.sha256[:16]}`."),
        ("5b Dates", card.dates),
        ("6a Setting", card.setting),
        ("6b Eligibility", _eligibility(shipped)),
        ("6c Treatments", card.treatments),
        ("7 Data preparation", _preparation(shipped)),
        ("8 Outcome", f"{model.event}, in months of 30.4375 days from {model.time_zero}."),
        ("9 Predictors", "\n\n" + "\n".join(_predictors(shipped))),
        ("10 Sample size", f"{card.sample_size} {_per_term(shipped)}"),
        ("11 Missing data", "\n\n" + "\n".join(_missing(shipped))),
        ("12 Analysis", _analysis(shipped)),
        ("13 Class imbalance", "Nothing was resampled or weighted."),
        ("14 Fairness", "Item 23c has parts of the cohort; nothing was done to change the model there."),
        ("15 Output", f"Probabilities over time with a {LEVEL:.0%} band; no classes and no cut-off."),
        ("16 Training and evaluation", _differences(shipped)),
        ("17 Ethics", card.ethics),
        ("18a Funding, 18b conflicts", "None declared."),
        ("18c Protocol, 18d registration", "None."),
        ("18e Data sharing", card.data_sharing),
        ("18f Code", f"This repository; `avatar train survival {model.name} TABLE` makes file and card."),
        ("19 Patients and the public", "Were not involved."),
        ("20 Participants", f"{model.patients} patients, {model.events} with {model.event}."),
        ("21 Development", f"{model.patients} patients, {model.events} events in each analysis below."),
        ("22 Specification", "\n\n" + "\n".join(_specification(shipped))),
        ("23a Performance", "\n\n" + "\n".join(_performance(shipped))),
        ("23b Heterogeneity between centers", "Not examined: not told, or too small."),
        ("23c In parts of the cohort", "\n\n" + "\n".join(_parts(shipped))),
        ("24 Updating", "As fitted; no coefficient was changed after the evaluation."),
        ("25 Interpretation", _interpretation(shipped)),
        ("26 Limitations", card.limits),
        ("27 Usability", _usability()),
    ]  # fmt: skip
    head = (
        f"# {model.name}: {model.title}\n\n"
        "For research. Written by the command that fitted the model; by TRIPOD+AI's items.\n"
    )
    return head + "".join(f"\n**{name}.** {text}\n" for name, text in items)


def _and_evaluation(shipped: Shipped) -> str:
    return " and external evaluation" if shipped.external else ""


def _abstract(shipped: Shipped) -> str:
    model, score = shipped.model, shipped.scores[Cox.kind]
    told = (
        f"Cox proportional hazards with a ridge penalty on {model.patients} patients ({model.events} "
        f"events). "
        f"Out of fold: Harrell's C {score.mean('harrell'):.3f}, Uno's C {score.mean('uno'):.3f}, "
        f"integrated Brier "
        f"score {score.mean('brier'):.3f}."
    )
    if shipped.external:
        told += f" On {shipped.external.test}: Harrell's C {shipped.external.harrell.words}."
    return told


def _eligibility(shipped: Shipped) -> str:
    file = shipped.config.cohort
    told = ["All rows of the table"]
    told += [f"with {column} matching `{pattern}`" for column, pattern in file.only.items()]
    if file.without_outcome == "leave out":
        told.append("with an outcome and a time above 0")
    if file.leave_out:
        told.append(f"but {', '.join(file.leave_out)}")
    return " ".join(told) + "."


def _preparation(shipped: Shipped) -> str:
    return (
        "Codes to levels as the configuration says; numbers as they are, none transformed. Values that are "
        "not "
        "known: item 11."
    )


def _predictors(shipped: Shipped) -> Iterator[str]:
    yield "| covariate | unit or levels | seen |"
    yield "|---|---|---|"
    for name, told in shipped.model.covariates.items():
        seen = shipped.model.seen[name]
        if told.kind == "number":
            yield f"| {shipped.model.label(name)} | {told.unit or '1'} | {seen.low:g} to {seen.high:g} |"
        else:
            yield f"| {shipped.model.label(name)} | {', '.join(told.levels)} | {', '.join(seen.levels)} |"


def _per_term(shipped: Shipped) -> str:
    terms = len(shipped.model.terms)
    return f"{shipped.model.events / terms:.0f} events for each of {terms} terms."


def _missing(shipped: Shipped) -> Iterator[str]:
    covariates = shipped.cohort.covariates
    gaps = {str(name): float(covariates[name].isna().mean()) for name in covariates}
    yield (
        "A number that is not known enters as the median, a category as the mean of its levels; where 5 % "
        "or more are not "
        "known, with a term of its own. Learned inside each fold. Not known of: "
        + (
            ", ".join(f"{shipped.model.label(n)} {share:.0%}" for n, share in gaps.items() if share)
            or "nobody"
        )
        + "."
    )


def _analysis(shipped: Shipped) -> str:
    model = shipped.model
    return (
        f"Ridge penalty {model.penalizer:g} on standardized columns (lifelines), Breslow's baseline. "
        f"{REPEATS} times five "
        f"stratified folds; optimism by {shipped.optimism['harrell'].draws} bootstrap draws; bands from "
        f"{len(model.replicates)} refits, on the complementary log-log scale."
    )


def _differences(shipped: Shipped) -> str:
    validation = shipped.config.validation
    if shipped.external is None or validation is None:
        return "No cohort of other patients with the same covariates was at hand: not evaluated elsewhere."
    gone = [
        shipped.model.label(n) for n in shipped.model.covariates if n not in validation.covariates
    ]
    return (
        f"{shipped.external.test}: {shipped.external.patients} patients, {shipped.external.events} events, "
        f"from "
        f"{validation.time.zero}. Not known of any there: {', '.join(gone) or 'nothing'}."
    )


def _specification(shipped: Shipped) -> Iterator[str]:
    model = shipped.model
    yield (
        f"All of it is in [{model.name}.json]({model.name}.json). S(t) = exp(-H(t) exp(sum of coefficient "
        f"x (column - mean))), "
        "H the baseline there; a column is (value - center) / scale of a number, 1 where a level is present."
    )
    yield ""
    yield "| term | hazard ratio | 90 % band |"
    yield "|---|---|---|"
    for name, ratio in term_ratios(shipped):
        yield f"| {name} | {ratio[0]:.2f} | {ratio[1]:.2f} to {ratio[2]:.2f} |"


def term_ratios(shipped: Shipped) -> Iterator[tuple[str, Ratio]]:
    """Of each covariate: for one standard deviation of a number, or of a level against the first."""
    model = shipped.model
    for name, told in model.covariates.items():
        marked = tuple(UNKNOWN for t in model.terms if t.covariate == name and t.level == UNKNOWN)
        if told.kind == "number":
            (term,) = (t for t in model.terms if t.covariate == name and t.level is None)
            ratio = model.ratio_of(name, None, None)
            words = f"{model.label(name)}, {term.scale:.3g} {told.unit} more".replace("  ", " ")
            yield words, ratio
            levels: tuple[str, ...] = marked
            first = None
        else:
            first, *rest = model.seen[name].levels
            levels = (*rest, *marked)
        for level in levels:
            ratio = model.ratio_of(name, level, first)
            against = "the median" if first is None else first
            yield (
                f"{model.label(name)}: {level} against {against}",
                ratio,
            )


def _performance(shipped: Shipped) -> Iterator[str]:
    yield "Mean and standard deviation over folds."
    yield ""
    yield "| | Uno's C | Harrell's C | integrated Brier score |"
    yield "|---|---|---|---|"
    names = {Cox.kind: "this model", AGE_ONLY: AGE_ONLY, BASELINE: BASELINE}
    for kind, words in names.items():
        score = shipped.scores[kind]
        cells = (
            f"{score.mean(n):.3f} ± {score.spread(n):.3f}" for n in ("uno", "harrell", "brier")
        )
        yield f"| {words} | {' | '.join(cells)} |"
    yield ""
    told = [
        f"{name}: {one.apparent:.3f} on its own patients, optimism {one.optimism:.3f}, corrected "
        f"{one.corrected:.3f}"
        for name, one in (("Harrell's C", shipped.optimism["harrell"]), ("Brier", shipped.optimism["brier"]))
    ]  # fmt: skip
    yield "Bootstrap. " + "; ".join(told) + "."
    yield ""
    yield from _calibration(shipped)
    if shipped.external:
        yield ""
        yield from _external(shipped.external)


def _calibration(shipped: Shipped) -> Iterator[str]:
    score = shipped.scores[Cox.kind]
    yield f"D-calibration: p = {score.d_calibration(shipped.cohort).p:.3f}. Out of fold, survival at times:"
    yield ""
    yield "| months | predicted | observed | slope | ICI | E90 |"
    yield "|---|---|---|---|---|---|"
    for horizon in shipped.config.horizons:
        at = score.at(shipped.cohort, horizon)
        yield (
            f"| {horizon:g} | {1 - at.predicted:.3f} | {1 - at.observed:.3f} | {at.slope:.2f} | "
            f"{at.ici:.3f} | "
            f"{at.e90:.3f} |"
        )


def _external(told: Validation) -> Iterator[str]:
    yield (
        f"On {told.test} ({told.patients} patients, {told.events} events; 95 % bootstrap intervals): "
        f"Harrell's C "
        f"{told.harrell.words}, Uno's C {told.uno.words}, integrated Brier score {told.brier.words}, "
        f"D-calibration p = "
        f"{told.d_calibration.p:.3f}."
    )
    yield ""
    yield "| months | predicted | observed | error | slope | ICI |"
    yield "|---|---|---|---|---|---|"
    for horizon, at in told.at.items():
        yield (
            f"| {horizon:g} | {1 - at.told.predicted:.3f} | {1 - at.told.observed:.3f} | {at.error.words} | "
            f"{at.slope.words} | {at.ici.words} |"
        )


def _parts(shipped: Shipped) -> Iterator[str]:
    yield (
        f"Out-of-fold predictions at {shipped.config.middle:g} months; no number for a part with fewer "
        f"than 20 events."
    )
    yield ""
    yield "| part | patients | events | Harrell's C | predicted | observed | ICI |"
    yield "|---|---|---|---|---|---|---|"
    for part in shipped.parts:
        cells = (
            _part_words(shipped, part),
            str(part.patients),
            str(part.events),
            *_part_cells(part),
        )
        yield f"| {' | '.join(cells)} |"


def _part_words(shipped: Shipped, part: Subgroup) -> str:
    name, _, level = part.name.partition(": ")
    return f"{shipped.model.label(name)}: {level}"


def _part_cells(part: Subgroup) -> tuple[str, str, str, str]:
    concordance = "none" if part.harrell is None else f"{part.harrell:.3f}"
    if part.at is None:
        return concordance, "none", "none", "none"
    at = part.at
    return concordance, f"{1 - at.predicted:.3f}", f"{1 - at.observed:.3f}", f"{at.ici:.3f}"


def _interpretation(shipped: Shipped) -> str:
    score = shipped.scores
    return (
        f"Better than age alone by {score[Cox.kind].mean('uno') - score[AGE_ONLY].mean('uno'):.3f} of "
        f"Uno's C, and than "
        f"Kaplan-Meier by {score[BASELINE].mean('brier') - score[Cox.kind].mean('brier'):.3f} of the "
        f"integrated Brier score. "
        "Factors are associations in patients as treated, not effects."
    )


def _usability() -> str:
    return (
        "A patient beyond the seen range of a covariate, with a gap where the fit had none, or farther "
        "from the mean than "
        "every patient of the fit gets no number. The band is the model's uncertainty at each time by "
        "itself, not the "
        "spread of single patients."
    )
