"""``avatar run`` on small studies: everything is stored, or nothing is."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml
from conftest import VCF, spoil_study, write_nifti
from toy_gene import AHEAD, genome, toy, write_fasta, write_gtf

from data.avatar import Avatar
from data.errors import AvatarError, ImageError, SampleError, StudyError
from data.io.panel import write_panel
from data.store import AvatarStore
from models.inference.prior import ResponseOptions
from pipelines import check
from pipelines.assemble import run_study
from pipelines.config import DEFAULT_REGIMENS, find_regimen, twin_prior
from pipelines.panel import build_panel, panel_path
from pipelines.simulate import forecasts_of, kept_forecast, simulate_avatar
from pipelines.study_init import guess_study, kind_named
from pipelines.weights import add_weights, segmenter_of


@pytest.fixture
def store(tmp_path):
    with AvatarStore(tmp_path / "store") as opened:
        yield opened


def test_a_study_becomes_an_avatar_with_every_part_and_its_provenance(make_study, store):
    avatar = run_study(make_study(), store)
    assert avatar == store.get("P1")
    whole = avatar.latest_scan.measured("WT")
    assert whole.volume_ml == pytest.approx(4 / 3 * np.pi * 1.2**3, rel=0.05)
    assert whole.laterality == "right"
    assert avatar.record.markers.idh_mutation == "present"
    assert avatar.prior_class == "oligodendroglioma"
    assert [f.regimen for f in avatar.forecasts][:2] == ["Observation", "Stupp"]
    steps = [p.step for p in avatar.provenance]
    assert steps == [
        "segment",
        "measure",
        "tissue",
        "annotate",
        "survival",
        "calibrate",
        "simulate",
    ]
    sources = {s.name for p in avatar.provenance for s in p.sources}
    assert {"t1c.nii.gz", "flair.nii.gz", "mask.nii.gz", "calls.vcf", "record.yaml"} == sources


def test_a_second_run_redoes_nothing_and_gives_the_same_bytes(make_study, store):
    folder = make_study()
    first = run_study(folder, store).to_json()
    reports = []
    second = run_study(folder, store, watch=reports.append).to_json()
    assert first == second
    computed = [r for r in reports if r.step not in ("ingest", "annotate", "assemble")]
    assert len(computed) == 5
    assert all(r.reused for r in computed)


def test_another_store_gives_the_same_bytes(make_study, store, tmp_path):
    folder = make_study()
    with AvatarStore(tmp_path / "other") as other:
        assert run_study(folder, store).to_json() == run_study(folder, other).to_json()


def test_two_sequences_that_change_roles_are_another_scan(make_study, store):
    folder = make_study()
    write_nifti(
        folder / "flair.nii.gz", np.full((40, 40, 40), 7, np.int16), np.diag([2.0, 2.0, 2.0, 1.0])
    )
    first = run_study(folder, store).latest_scan
    # The same files in the same order, only their roles differ.
    swapped = {"t1c": "flair.nii.gz", "flair": "t1c.nii.gz"}
    scan = {"sequences": swapped, "segmentation": "mask.nii.gz"}
    study = yaml.safe_load((folder / "study.yaml").read_text()) | {"scans": [scan]}
    (folder / "study.yaml").write_text(yaml.safe_dump(study, sort_keys=False))
    second = run_study(folder, store).latest_scan
    assert second.sequences["t1c"] == first.sequences["flair"]
    assert second.sequences["flair"] == first.sequences["t1c"]


def test_scans_that_change_days_are_simulated_again(make_study, store):
    folder = make_study()
    small = np.zeros((40, 40, 40), np.uint8)
    small[28:30, 20:22, 20:22] = 2
    write_nifti(folder / "small.nii.gz", small, np.diag([2.0, 2.0, 2.0, 1.0]))
    sequences = {"t1c": "t1c.nii.gz", "flair": "flair.nii.gz"}

    def first_volume(*days):
        scans = [
            {"day": day, "sequences": sequences, "segmentation": mask}
            for day, mask in zip(days, ("mask.nii.gz", "small.nii.gz"), strict=True)
        ]
        study = yaml.safe_load((folder / "study.yaml").read_text()) | {"scans": scans}
        (folder / "study.yaml").write_text(yaml.safe_dump(study))
        return run_study(folder, store).forecasts[0].volume_mm3.median[0]

    assert first_volume(90, 0) > 10 * first_volume(0, 90)


def test_a_changed_mask_is_measured_again(make_study, store):
    folder = make_study()
    before = run_study(folder, store).latest_scan.measured("WT").volume_mm3
    write_nifti(
        folder / "mask.nii.gz", np.full((40, 40, 40), 2, np.uint8), np.diag([2.0, 2.0, 2.0, 1.0])
    )
    assert run_study(folder, store).latest_scan.measured("WT").volume_mm3 > before


def test_a_study_without_a_record_says_why_there_is_no_survival_curve(make_study, store):
    avatar = run_study(make_study(record=None), store)
    assert avatar.survival is None
    assert "age" in next(p.note for p in avatar.provenance if p.step == "survival")
    assert avatar.record.markers.mgmt_methylation == "untested"


def bad_inputs():
    def truncated_dicom(folder):
        (folder / "series").mkdir()
        (folder / "series" / "1.dcm").write_bytes(b"\0" * 128 + b"DICM" + b"\2\0\0\0UL\4\0\1")
        return {"scans": [{"sequences": {"ct": "series"}, "segmentation": "mask.nii.gz"}]}

    def nan_image(folder):
        array = np.ones((40, 40, 40), np.float32)
        array[1, 2, 3] = np.nan
        write_nifti(folder / "t1c.nii.gz", array, np.diag([2.0, 2.0, 2.0, 1.0]))

    def other_mask(folder):
        write_nifti(folder / "mask.nii.gz", np.ones((5, 5, 5), np.uint8))

    def no_tumor_sample(folder):
        (folder / "calls.vcf").write_text(VCF.replace("NORMAL\tTUMOR", "A\tB"))

    def broken_vcf(folder):
        (folder / "calls.vcf").write_text("#CHROM\n")

    def unknown_key(folder):
        return {"pateint": "x"}

    def not_yaml(folder):
        (folder / "study.yaml").write_text("a: [1\n")
        return None

    return [
        truncated_dicom, nan_image, other_mask, no_tumor_sample, broken_vcf, unknown_key, not_yaml,
    ]  # fmt: skip


@pytest.mark.parametrize("spoil", bad_inputs(), ids=lambda f: f.__name__)
def test_bad_input_is_one_sentence_and_leaves_the_store_as_it_was(make_study, store, spoil):
    folder = make_study()
    spoil_study(folder, spoil)
    with pytest.raises(AvatarError) as caught:
        run_study(folder, store)
    assert str(folder) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert store.patients() == ()
    assert not (store.folder / "volumes").exists()


def test_a_study_without_what_the_segmenter_needs_leaves_the_store_as_it_was(make_study, store):
    folder = make_study(scans=[{"sequences": {"t1c": "t1c.nii.gz"}}])
    with pytest.raises(AvatarError, match="no flair"):
        run_study(folder, store)
    assert store.patients() == ()
    assert not (store.folder / "volumes").exists()


def test_the_gate_refuses_a_study_and_lets_it_through_when_told_to(make_study, store):
    scan = {"sequences": {"t1c": "t1c.nii.gz", "flair": "flair.nii.gz"}}
    folder = make_study(scans=[scan])  # two gray levels: a drawing, not a scan
    with pytest.raises(ImageError, match=r"only 2 different values .* --despite-flags"):
        run_study(folder, store)
    assert store.patients() == ()
    found = run_study(folder, store, despite_flags=True).latest_scan
    assert found.flags[0].code == "intensity"
    assert found.disagreement is not None
    assert set(found.agreement) == {"WT", "TC", "ET"}


def test_without_the_atlas_a_study_is_flagged_as_not_checked_and_checked_later(
    make_study, store, monkeypatch
):
    scan = {"sequences": {"t1c": "t1c.nii.gz", "flair": "flair.nii.gz"}}
    folder = make_study(scans=[scan])

    def gone():
        raise SampleError("no package index")

    check._template.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(check, "load_sri24", gone)
        flag = run_study(folder, store).latest_scan.flags[0]
    assert (flag.code, flag.severity) == ("not-checked", "look")
    assert "no package index" in flag.finding
    with pytest.raises(ImageError, match="only 2 different values"):
        run_study(folder, store)


def test_the_generic_site_needs_a_mask_and_is_not_simulated(make_study, store):
    scan = {"sequences": {"mr": "t1c.nii.gz"}}
    with pytest.raises(StudyError, match="no segmenter"):
        run_study(make_study(site="generic", scans=[scan]), store)
    folder = make_study(site="generic", scans=[scan | {"segmentation": "mask.nii.gz"}])
    write_nifti(
        folder / "mask.nii.gz", np.ones((40, 40, 40), np.uint8), np.diag([2.0, 2.0, 2.0, 1.0])
    )
    avatar = run_study(folder, store)
    assert avatar.forecasts == ()
    with pytest.raises(AvatarError, match="no growth prior"):
        simulate_avatar(avatar, "stupp")


def test_two_scans_are_both_measured_and_the_later_one_simulated(make_study, store):
    first = {
        "sequences": {"t1c": "t1c.nii.gz", "flair": "flair.nii.gz"},
        "segmentation": "mask.nii.gz",
    }
    avatar = run_study(make_study(scans=[first, first | {"day": 90}]), store)
    assert [s.day for s in avatar.scans] == [0, 90]
    assert avatar.latest_scan.day == 90


def test_names_of_files_make_a_first_study(make_study):
    folder = make_study()
    (folder / "study.yaml").unlink()
    shutil.copy(folder / "t1c.nii.gz", folder / "t1ce.nii.gz")
    with pytest.raises(StudyError, match=r"t1c\.nii\.gz and t1ce\.nii\.gz both look like t1c"):
        guess_study(folder, "P1")
    (folder / "t1ce.nii.gz").rename(folder / "brain_mask.nii.gz")
    for name in ("calls.vcf.gz", "calls.vcf.gz.csi", "other.vcf"):
        (folder / name).touch()
    with pytest.raises(StudyError, match=r"which of .*calls\.vcf\.gz.* has the somatic calls"):
        guess_study(folder, "P1")
    for name in ("calls.vcf", "other.vcf"):
        (folder / name).unlink()
    path = guess_study(folder, "P1")
    study = yaml.safe_load(path.read_text())
    assert study["scans"][0] == {
        "sequences": {"flair": "flair.nii.gz", "t1c": "t1c.nii.gz"},
        "segmentation": "mask.nii.gz",
        "brain_mask": "brain_mask.nii.gz",
    }
    assert study["variants"] == {"file": "calls.vcf.gz"}
    with pytest.raises(StudyError, match="exists already"):
        guess_study(folder, "P1")


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("AX T1 POST GD", "t1c"), ("t1_mprage_sag+C", "t1c"), ("T1W CE", "t1c"), ("Gd T1 SE", "t1c"),
        ("P1_t1ce", "t1c"), ("AX T1 PRE CONTRAST", "t1"), ("T1 non-contrast", "t1"), ("T1W", "t1"),
        ("t1 posterior fossa", "t1"), ("P1_t1n", "t1"), ("FLAIR post gd", "flair"), ("T2W TSE", "t2"),
        ("localizer", None), ("T1_post_mask", "segmentation"),
        ("t1_brain_mask", "brain_mask"), ("t1_skullstripped", "t1"),
    ],
)  # fmt: skip
def test_a_t1_after_contrast_is_told_by_its_name(name, kind):
    assert kind_named(name) == kind


def test_a_contrast_agent_in_the_header_tells_unless_the_name_says_before_it():
    assert kind_named("AX T1 SE", has_agent=True) == "t1c"
    assert kind_named("AX T1 SE pre", has_agent=True) == "t1"
    assert kind_named("AX T2 TSE", has_agent=True) == "t2"


def test_unknown_weights_and_segmenters_are_refused(tmp_path):
    (tmp_path / "w.npz").write_bytes(b"x")
    with pytest.raises(AvatarError, match="sha256"):
        add_weights(tmp_path / "w.npz")
    with pytest.raises(AvatarError, match="glioma-net"):
        segmenter_of("other")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("patient", "gene", "change", "prior"),
    [
        ("TCGA-DU-7294", "IDH1", "R132H", "oligodendroglioma"),
        ("TCGA-FG-6692", "EGFR", "A289V", "glioblastoma"),
    ],
)
def test_a_flagship_patient_runs_from_files_to_avatar(flagship_masks, patient, gene, change, prior):
    with AvatarStore(flagship_masks) as store:
        avatar = store.get(patient)
        assert Avatar.from_json(avatar.to_json()) == avatar
    assert change in [v.protein_change for v in avatar.variants.in_gene(gene)]
    assert avatar.prior_class == prior
    assert avatar.latest_scan.measured("WT").laterality == "right"
    assert avatar.survival is not None
    assert len(avatar.forecasts) == 3


def test_a_file_without_an_idh_call_leaves_idh_untested(make_study, store):
    folder = make_study()
    (folder / "calls.vcf").write_text(VCF.replace("IDH1", "TTN"))
    avatar = run_study(folder, store)
    assert avatar.record.markers.idh_mutation == "untested"
    assert avatar.prior_class == "glioma"


def test_a_bare_vcf_a_reference_and_fusions_go_all_the_way_into_the_avatar(make_study, store):
    """A panel of the store names what the file does not; the spectrum needs the reference."""
    folder = make_study(
        fusions={"file": "fusions.tsv"},
        variants={"file": "calls.vcf", "capture_mb": 1, "reference": "chr21.fa"},
    )
    fasta = write_fasta(folder / "chr21.fa", 1)
    gtf = write_gtf(folder / "genes.gtf", [replace(toy(1, AHEAD), gene="EGFR")])
    write_panel(panel_path(store, "GRCh38"), build_panel(gtf, fasta, ["EGFR"]).panel)
    rows = [
        ("chr21", AHEAD + 763, "A", "T"),
        ("chr21", AHEAD + 587, genome(1)[586], "A"),
    ]
    head = VCF[: VCF.index("#CHROM")].replace("chr2,length=242193529", "chr21,length=46709983")
    lines = [f"{c}\t{p}\t.\t{r}\t{a}\t.\tPASS\t.\tAD\t30,10" for c, p, r, a in rows]
    columns = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\tTUMOR"
    (folder / "calls.vcf").write_text(head + "\n".join([columns, *lines]) + "\n")
    (folder / "fusions.tsv").write_text("#gene1\tgene2\treading_frame\nKIF5B\tRET\tin-frame\n")
    avatar = run_study(folder, store)
    assert [v.protein_change for v in avatar.variants.variants][:1] == ["K52*"]
    assert sum(avatar.burden.spectrum) == 2
    assert avatar.burden.without_normal
    assert [f.name for f in avatar.fusions] == ["KIF5B::RET"]
    assert "KIF5B-RET fusion" in [i.alteration.name for i in avatar.interpretations]
    told = next(p for p in avatar.provenance if p.step == "annotate")
    assert {s.role for s in told.sources} >= {"variants", "index of the reference", "fusions"}
    assert "1 genes" in told.settings["panel"]
    assert "named by panel" in told.note
    (folder / "fusions.tsv").unlink()
    with pytest.raises(StudyError, match=r"fusions\.tsv, but there is no such file"):
        run_study(folder, store)


def test_the_forecasts_of_a_run_are_found_again_until_something_that_they_rest_on_changes(
    make_study, store
):
    avatar = run_study(make_study(), store)
    usual = dict(zip(DEFAULT_REGIMENS, avatar.forecasts, strict=True))
    again = Avatar.model_validate_json(avatar.to_json())
    for name, forecast in usual.items():
        regimen = find_regimen(name)
        assert kept_forecast(again, regimen, store) == forecast
        fresh = forecasts_of(
            avatar.latest_scan, avatar.record.markers, twin_prior(avatar.prior_class), [regimen], store
        )  # fmt: skip
        assert fresh == (forecast,)
    stupp = find_regimen("stupp")
    repair = ResponseOptions(incomplete_repair=True)
    shorter = stupp.model_copy(update={"fractions": 29})
    markers = avatar.record.markers.model_copy(update={"mgmt_methylation": "present"})
    record = avatar.record.model_copy(update={"markers": markers})
    assert kept_forecast(avatar, shorter, store) is None
    assert kept_forecast(avatar, stupp, store, options=repair) is None
    assert kept_forecast(avatar, stupp, store, growth="gompertz") is None
    assert kept_forecast(avatar.model_copy(update={"record": record}), stupp, store) is None
    told = []
    assert (
        simulate_avatar(again, "stupp", store, on_member=lambda *n: told.append(n))
        == usual["stupp"]
    )
    assert len(told) == 1
