"""``avatar run``: files to a stored avatar, step by step.

All input is read and checked first; then each step is looked up by the digest of what goes into it and
done only if its result is not in the store. The avatar itself is written last, in one transaction.
"""

from __future__ import annotations

from pathlib import Path

from data.avatar import Avatar, Scan, VolumeRef
from data.clinical import ClinicalRecord
from data.errors import ClinicalError, ImageError, StudyError
from data.files import sha256_file
from data.imaging import Segmentation
from data.io.study import StudyFile, read_study
from data.prognosis import SurvivalPrediction
from data.provenance import Provenance, versions_of
from data.quality import Flag
from data.store import AvatarStore
from data.timeline import Event, Timeline
from models.measurement import measure
from models.segmentation.base import Segmenter, brain_mask
from models.segmentation.quality import mask_flags
from pipelines.calibrate import calibration_step
from pipelines.check import check_study, refuse_stops
from pipelines.config import (
    SURVIVAL_MODELS,
    survival_model,
)
from pipelines.genomics import genomics_of
from pipelines.heads import Seen, seen_by_networks, without_negatives
from pipelines.ingest import LoadedScan, LoadedStudy, ingest
from pipelines.planning import keep_planning
from pipelines.review import signed_scan
from pipelines.simulate import forecast_step
from pipelines.sites import glioma
from pipelines.sites.base import Site, Survival
from pipelines.sites.registry import SITES
from pipelines.steps import StepReport, StepResult, Watch, begin, remembered
from pipelines.tissue import tissue_step
from pipelines.weights import segmenter_of


class _ScanResult(StepResult):
    scan: Scan
    provenance: tuple[Provenance, ...]

    @property
    def volumes(self) -> tuple[VolumeRef, ...]:
        """All that the scan is made of."""
        refs = [*self.scan.sequences.values(), self.scan.segmentation]
        return tuple(refs + ([self.scan.disagreement] if self.scan.disagreement else []))


class _CheckResult(StepResult):
    flags: tuple[Flag, ...]


class _SurvivalResult(StepResult):
    prediction: SurvivalPrediction | None
    provenance: Provenance


def run_study(
    folder: Path,
    store: AvatarStore,
    *,
    segmenter: str | None = None,
    despite_flags: bool = False,
    watch: Watch = lambda report: None,
) -> Avatar:
    """Assemble the avatar of one study and keep it.

    Args:
        folder: with a study.yaml.
        store: where the avatar goes.
        segmenter: kind, instead of the study's or the default.
        despite_flags: segment a study even where the quality gate says that the mask cannot be right.
        watch: told each step.

    Raises:
        AvatarError: bad input; the avatars in the store are then as they were.
    """
    begin("ingest")
    study = read_study(folder)
    site = SITES[study.site]
    named = segmenter or study.segmenter or site.default_segmenter
    chosen = None if named is None else segmenter_of(named)
    loaded = ingest(folder, study, site)
    watch(StepReport("ingest", _read_summary(loaded), False))
    seen = [_seen(store, study, scan, site, chosen, watch) for scan in loaded.scans]
    flags = [_check_step(store, view, chosen, watch) for view, _ in seen]
    for scan, found in zip(loaded.scans, flags, strict=True):
        if not despite_flags:
            refuse_stops(found, f"{study.patient_id}, scan of day {scan.day:g}")
    drawn = [
        _scan_step(store, site, view, chosen, found, watch)
        for (view, _), found in zip(seen, flags, strict=True)
    ]
    drawn = [_with_signature(store, site, study.patient_id, result, watch) for result in drawn]
    results = tuple(
        _with_tissue(store, site, view, result, watch)
        for (view, _), result in zip(seen, drawn, strict=True)
    )
    begin("annotate")
    genomics = genomics_of(
        store,
        loaded.record,
        loaded.calls,
        loaded.segments,
        tuple(
            s
            for part in ("record", "variants", "segments", "fusions")
            for s in loaded.sources.get(part, ())
        ),
        capture_mb=None if study.variants is None else study.variants.capture_mb,
        site=site.name,
        fusions=loaded.fusions,
    )
    record, markers = genomics.record, genomics.record.markers
    prior = genomics.diagnosis.prior if site.has_prior else "none"
    watch(StepReport("annotate", f"{genomics.provenance.note}; prior class {prior}", False))
    parts = [p for _, standing in seen for p in standing]
    parts += [p for r in results for p in r.provenance] + [genomics.provenance]
    survival, calibrated, forecasts = None, None, None
    scans = tuple(r.scan for r in results)
    latest = max(scans, key=lambda s: s.day)
    of_planning = loaded.sources.get("planning", ())
    planning, kept = keep_planning(store, loaded.planning, latest, of_planning, watch)
    parts += kept
    if site.survival is not None:
        survival = _survival_step(store, site.survival, record, watch)
        parts.append(survival.provenance)
    if site.has_prior:
        calibrated = calibration_step(store, scans, record, prior, loaded.given, watch)
        forecasts = forecast_step(store, latest, markers, prior, calibrated.calibration, watch)
        parts += [calibrated.provenance, forecasts.provenance]
    begin("assemble")
    avatar = Avatar(
        patient_id=study.patient_id,
        site=study.site,
        origin=study.origin,
        record=record,
        prior_class=prior,
        diagnosis=genomics.diagnosis if site is glioma.SITE else None,
        scans=scans,
        planning=planning,
        variants=genomics.variants,
        calls=genomics.calls,
        burden=genomics.burden,
        copy_number=genomics.copy_number,
        fusions=genomics.fusions,
        interpretations=genomics.interpretations,
        knowledge=genomics.knowledge,
        survival=survival.prediction if survival else None,
        calibration=calibrated.calibration if calibrated else None,
        forecasts=forecasts.forecasts if forecasts else (),
        timeline=_timeline(record, scans),
        provenance=tuple(parts),
    )
    store.put(avatar)
    watch(StepReport("assemble", f"avatar {study.patient_id} in {store.folder}", False))
    return avatar


def _read_summary(loaded: LoadedStudy) -> str:
    sequences = sorted({name for scan in loaded.scans for name in scan.sequences})
    variants = ", no variants" if loaded.calls is None else f", {len(loaded.calls)} variants"
    return f"{len(loaded.scans)} scan(s) with {', '.join(sequences)}{variants}"


def _seen(
    store: AvatarStore,
    study: StudyFile,
    scan: LoadedScan,
    site: Site,
    segmenter: Segmenter | None,
    watch: Watch,
) -> tuple[Seen, tuple[Provenance, ...]]:
    """A scan as a network sees it and how that came about; refused where no mask can come of it."""
    if scan.segmentation is not None:
        return Seen(scan), ()
    if segmenter is None:
        raise StudyError(
            f"{study.patient_id}: the {site.name} site has no segmenter; give a segmentation in "
            "study.yaml"
        )
    if segmenter.site != site.name:
        usual = f"leave it out for {site.default_segmenter}, or " if site.default_segmenter else ""
        raise StudyError(
            f"{study.patient_id}: {segmenter.kind} draws {segmenter.site}, the study's site is "
            f"{site.name}; {usual}give a segmentation in study.yaml"
        )
    try:
        segmenter.require_sequences(scan.sequences)
        if site is not glioma.SITE:
            segmenter.require(scan.sequences, scan.brain)
            return Seen(scan), ()
        view, standing = seen_by_networks(store, scan, watch)
        if view.upright is None:
            segmenter.require(view.images, view.brain)
    except ImageError as error:
        raise ImageError(f"{study.patient_id}, scan of day {scan.day:g}: {error}") from error
    return view, standing


def _check_step(
    store: AvatarStore, view: Seen, segmenter: Segmenter | None, watch: Watch
) -> tuple[Flag, ...]:
    """The quality gate, for a scan that a network is to segment."""
    scan = view.scan
    if scan.segmentation is not None or segmenter is None:
        return ()

    def make() -> _CheckResult:
        return _CheckResult(flags=check_study(view.images, view.brain, segmenter))

    def was_checked(made: _CheckResult) -> bool:
        return all(flag.code != "not-checked" for flag in made.flags)

    key = [scan.key, segmenter.site, segmenter.requires]
    result, reused = remembered(store, "check", key, _CheckResult, make, keep=was_checked)
    said = "; ".join(flag.finding for flag in result.flags) or "nothing suspicious"
    watch(StepReport(f"check (day {scan.day:g})", said, reused))
    return result.flags


def _scan_step(
    store: AvatarStore,
    site: Site,
    view: Seen,
    segmenter: Segmenter | None,
    flags: tuple[Flag, ...],
    watch: Watch,
) -> _ScanResult:
    scan = view.scan
    settings: dict[str, str | int | float | bool | None] = {}
    if scan.segmentation is None and segmenter is not None:
        settings = dict(segmenter.settings)
    if scan.focus is not None:
        x, y, z = scan.focus.center_ras_mm
        settings["focus"] = f"{scan.focus.size_mm:g} mm about RAS {x:g}, {y:g}, {z:g} mm"

    def make() -> _ScanResult:
        volumes = without_negatives(scan)
        method, reference = "mask given with the study", next(iter(volumes))
        found, disagreement, agreement = flags, None, {}
        if scan.segmentation is not None:
            segmentation = scan.segmentation
        elif segmenter is not None:
            examined = view.examined(segmenter)
            segmentation = Segmentation(examined.labels, site.labels)
            method = f"{segmenter.kind}: {segmenter.citation}"
            if view.upright is None:
                reference = segmenter.grid_of(volumes)
            brain = brain_mask(scan.brain, volumes[reference]) if site is glioma.SITE else None
            agreement = {region: round(dice, 4) for region, dice in examined.agreement.items()}
            found += mask_flags(examined.labels, brain, agreement)
            if examined.disagreement is not None:
                disagreement = store.put_volume(examined.disagreement)
        else:
            raise AssertionError("a scan has neither a mask nor a segmenter")
        whole = scan.brain or volumes[reference]
        measured = measure(segmentation, whole if site.is_sided else None)
        segmented = Provenance(
            step="segment",
            method=method,
            sources=scan.sources,
            settings=settings,
            versions=versions_of("torch", "openvino", "monai", "numpy", "scipy"),
            note=(
                "Automatic mask, not reviewed by a radiologist."
                if scan.segmentation is None
                else ""
            ),
        )
        counted = Provenance(
            step="measure",
            method="voxel counting; axial diameters of the largest component",
            sources=scan.sources,
            versions=versions_of("numpy", "scipy"),
        )
        return _ScanResult(
            scan=Scan(
                day=scan.day,
                sequences={name: store.put_volume(v) for name, v in sorted(volumes.items())},
                segmentation=store.put_volume(segmentation.volume),
                labels=segmentation.labels,
                segmenter=method,
                given=scan.segmentation is not None,
                measurements=measured,
                flags=found,
                disagreement=disagreement,
                agreement=agreement,
            ),
            provenance=(segmented, counted),
        )

    key = [scan.key, settings, site.labels.name, [flag.model_dump() for flag in flags]]
    result, reused = remembered(store, "scan", key, _ScanResult, make)
    whole = result.scan.measured("WT")
    volume = f"{whole.volume_ml:.1f} mL whole tumor" if whole else "no region"
    step = f"segment and measure (day {scan.day:g})"
    watch(StepReport(step, f"{result.scan.segmenter}; {volume}", reused))
    return result


def _with_signature(
    store: AvatarStore, site: Site, patient_id: str, result: _ScanResult, watch: Watch
) -> _ScanResult:
    """A scan with the mask that a reader signed for it, where there is one."""
    day = result.scan.day
    found = signed_scan(store, result.scan, store.review(patient_id, day), site)
    if found is None:
        return result
    scan, told = found
    watch(StepReport(f"review (day {day:g})", told.note, True))
    return _ScanResult(scan=scan, provenance=(*result.provenance, told))


def _with_tissue(
    store: AvatarStore, site: Site, view: Seen, result: _ScanResult, watch: Watch
) -> _ScanResult:
    """A scan with its tissue map, where the site's tumors are grown in one."""
    if not site.has_prior:
        return result
    scan = result.scan
    found = tissue_step(
        store,
        scan.day,
        without_negatives(view.scan),
        view.scan.brain,
        Segmentation(store.volume(scan.segmentation), scan.labels),
        view.scan.sources,
        watch,
    )
    return _ScanResult(
        scan=scan.model_copy(update={"tissue": found.tissue}),
        provenance=(*result.provenance, found.provenance),
    )


def _survival_step(
    store: AvatarStore, of_site: Survival, record: ClinicalRecord, watch: Watch
) -> _SurvivalResult:
    digest = sha256_file(SURVIVAL_MODELS / f"{of_site.model}.json")

    def make() -> _SurvivalResult:
        prediction, note = None, ""
        try:
            prediction = survival_model(of_site.model).predict(of_site.covariates(record))
        except ClinicalError as error:
            note = f"No survival curve: {error}"
        provenance = Provenance(
            step="survival",
            method="Cox proportional hazards from shipped coefficients",
            settings={"model": of_site.model, "model_sha256": digest},
            versions=versions_of("numpy"),
            note=note,
        )
        return _SurvivalResult(prediction=prediction, provenance=provenance)

    key = [digest, record.model_dump(mode="json")]
    result, reused = remembered(store, "survival", key, _SurvivalResult, make)
    said = result.provenance.note or (result.prediction.statement if result.prediction else "")
    watch(StepReport("survival", said, reused))
    return result


def _timeline(record: ClinicalRecord, scans: tuple[Scan, ...]) -> Timeline:
    events = [Event(day=0, kind="diagnosis", text=record.diagnosis or "Diagnosis")]
    for scan in scans:
        whole = scan.measured("WT")
        size = f", {whole.volume_ml:.1f} mL" if whole else ""
        names = ", ".join(sorted(scan.sequences))
        events.append(Event(day=scan.day, kind="imaging", text=f"Scan ({names}){size}"))
    if record.followup_days is not None and record.vital_status is not None:
        text = "Died" if record.vital_status == "dead" else "Last seen alive"
        events.append(Event(day=record.followup_days, kind="status", text=text))
    return record.timeline.with_events(*events)
