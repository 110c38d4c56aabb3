"""DICOM RT plans to a regimen's radiotherapy: how many fractions of how much, as it was planned."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError
from pydicom.dataset import Dataset

from data.errors import RegimenError
from data.io.dicom import read_dataset
from data.io.structured import explain
from data.treatment import MapTarget, RadiotherapyCourse, RegimenPlan, UniformTarget

DIFFERS = 0.05
"""Share by which the prescription and the sum of the beams may differ: the point that beams name is not the
target's."""
LONGEST_NAME = 80


def read_rtplan(
    path: Path, *, start_day: float = 0.0, per_week: int = 5, dose: str | None = None
) -> RegimenPlan:
    """The external-beam courses of a plan.

    A plan does not say on which days it is given: they are ``per_week``, one after another from ``start_day``.

    Args:
        path: of an RTPLAN.
        start_day: of the first fraction, since the scan.
        per_week: fractions a week.
        dose: name of the plan's dose map under 'planning' in study.yaml, as the target; by default the
            dose goes to all of the tumor.

    Raises:
        ImageError: not a DICOM file, or damaged.
        RegimenError: not an RTPLAN, brachytherapy, or no fractions or doses in it.
    """
    plan = read_dataset(path, "a plan is a DICOM RTPLAN")
    if plan.get("Modality") != "RTPLAN":
        raise RegimenError(f"{path}: is no RTPLAN but {plan.get('Modality') or 'of no modality'}")
    groups = plan.get("FractionGroupSequence") or []
    if not groups:
        raise RegimenError(f"{path}: says nothing of fractions")
    prescribed = _prescribed(plan) if len(groups) == 1 else None
    courses, said, day = [], [], start_day
    for group in groups:
        count, per_fraction, words = _course(path, group, prescribed)
        course = {
            "fractions": count,
            "dose_per_fraction_gy": per_fraction,
            "start_day": day,
            "per_week": per_week,
        }
        courses.append(course)
        said.append(words)
        day += 7 * -(-count // per_week)
    total = sum(float(c["fractions"]) * float(c["dose_per_fraction_gy"]) for c in courses)
    label = str(plan.get("RTPlanLabel") or plan.get("RTPlanName") or "").strip()
    try:
        return RegimenPlan(
            name=f"Plan {label or path.stem}"[:LONGEST_NAME],
            source=f"{path.name}: {'; '.join(said)}; {per_week} a week, which the plan does not say",
            radiotherapy=tuple(RadiotherapyCourse.model_validate(c) for c in courses),
            target=UniformTarget() if dose is None else MapTarget(dose=dose, prescribed_gy=total),
        )
    except ValidationError as error:
        raise RegimenError(f"{path}: {explain(error)}") from error


def _prescribed(plan: Dataset) -> float | None:
    """Gy to the target, where the plan names one dose for it."""
    doses = {
        float(reference.TargetPrescriptionDose)
        for reference in plan.get("DoseReferenceSequence") or []
        if reference.get("DoseReferenceType") == "TARGET"
        and reference.get("DoseReferenceStructureType") in ("SITE", "VOLUME")
        and reference.get("TargetPrescriptionDose")
    }
    return doses.pop() if len(doses) == 1 else None


def _course(path: Path, group: Dataset, prescribed: float | None) -> tuple[int, float, str]:
    """Fractions, Gy of each, and where that is from."""
    if int(group.get("NumberOfBrachyApplicationSetups") or 0) > 0:
        raise RegimenError(f"{path}: is brachytherapy, which is not simulated")
    count = int(group.get("NumberOfFractionsPlanned") or 0)
    if count < 1:
        raise RegimenError(f"{path}: does not say how many fractions are planned")
    beams = [b.get("BeamDose") for b in group.get("ReferencedBeamSequence") or []]
    by_beams = sum(float(b) for b in beams) if beams and None not in beams else None
    if prescribed is None and not by_beams:
        raise RegimenError(
            f"{path}: names neither a dose to the target nor one for every beam; write the regimen by hand"
        )
    if prescribed is None:
        return count, round(float(by_beams or 0.0), 4), f"{count} x {by_beams:.3g} Gy by its beams"
    each = prescribed / count
    words = f"{prescribed:g} Gy prescribed in {count}"
    if by_beams and abs(by_beams - each) > DIFFERS * each:
        words += f" (its beams sum to {count * by_beams:.4g} Gy at their own points)"
    return count, round(each, 4), words
