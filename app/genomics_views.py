"""What the genomics page shows: words, rows and figures of a diagnosis, tiers, calls and burden."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import date

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from app.views import plain
from data.avatar import Avatar
from data.burden import MutationBurden, SignatureFit
from data.calls import Calls
from data.copy_number import CopyNumber
from data.diagnosis import Diagnosis
from data.evidence import STRONG, Interpretation, KnowledgeSource, Support
from data.fusions import Fusion
from data.genome import CHROMOSOMES, LENGTHS
from models.genomics.clonality import Clonality
from models.genomics.copy_number import BEYOND, GENES
from models.genomics.fraction import interval
from models.genomics.ledger import Ledger
from models.genomics.oncogenicity import is_common_or_silent
from models.genomics.origin import Origin
from models.genomics.patterns import change_of
from models.genomics.spectrum import CHANNELS, EXCHANGES
from models.genomics.treatment_links import TreatmentLink
from pipelines.genomics_cohort import Member
from pipelines.interpret import fusion_doubt
from pipelines.marker_effects import MarkerEffect

TINTS = {"I-A": "red", "I-B": "orange", "II-C": "blue", "II-D": "blue", "III": "gray", "IV": "gray"}
TIER_COLORS = {
    "I-A": "#b3262e", "I-B": "#d97706", "II-C": "#1f77a4", "II-D": "#7fb2cf", "III": "#8a8f98", "IV": "#c9ccd1",
}  # fmt: skip
EXCHANGE_COLORS = ("#1fbeee", "#1b1b1b", "#e52926", "#bdbdbd", "#a1ce63", "#edb6c2")
"""As COSMIC draws them."""
TRUTHS = {"yes": "holds", "no": "does not hold", "unknown": "not decided"}
LEVELS = {
    "approval": "approved", "A": "validated (A)", "B": "clinical (B)", "C": "case studies (C)",
    "D": "preclinical (D)", "E": "inferential (E)",
}  # fmt: skip
OLD_MONTHS = 12


def trace_rows(diagnosis: Diagnosis) -> list[dict[str, str]]:
    """Each rule up to the one that held."""
    return [
        {
            "Rule": step.diagnosis,
            "Result": TRUTHS[step.truth],
            "Because": "; ".join(step.evidence) or "-",
            "Could still decide it": ", ".join(step.missing) or "-",
        }
        for step in diagnosis.trace
    ]


def age_words(sources: Iterable[KnowledgeSource], today: date) -> list[tuple[str, bool]]:
    """How old each source is, and whether that is old."""
    told = []
    for source in sources:
        year, month, *_ = (*map(int, source.as_of.split("-")[:2]), 1)
        months = 12 * (today.year - year) + today.month - month
        age = f"{months} months" if months < 24 else f"{months // 12} years"
        told.append((f"{source.name} as of {source.as_of} ({age} old)", months > OLD_MONTHS))
    return told


def strong(found: Sequence[Interpretation]) -> list[Interpretation]:
    """Tier I and II."""
    return [one for one in found if one.tier in STRONG]


def support_rows(supports: Sequence[Support]) -> list[dict[str, str]]:
    """Statements, the strongest first."""
    return [
        {
            "Therapy or effect": ", ".join(s.statement.therapies) or s.statement.effect,
            "Says": s.statement.effect,
            "Evidence": LEVELS[s.statement.level],
            "Disease": s.statement.disease
            + ("" if s.kinship == "same" else f" ({s.kinship}{_steps(s)})"),
            "Names": f"{s.statement.alteration} (by {s.precision})",
            "Setting": s.statement.setting or "-",
            "Source": f"{s.statement.source} {s.statement.reference}, {s.statement.as_of}",
        }
        for s in supports
    ]


def _steps(support: Support) -> str:
    return "" if support.steps is None else f", {support.steps} steps"


def fusion_rows(found: Sequence[Fusion]) -> list[dict[str, str]]:
    """Each fusion, with what keeps it from being held against knowledge."""
    return [
        {
            "Fusion": f.name,
            "Reads": f.told,
            "Breakpoints": " and ".join(f.breakpoints) if f.breakpoints else "-",
            "Interpreted": f"no: {doubt}" if (doubt := fusion_doubt(f)) else "yes",
        }
        for f in found
    ]


def link_rows(links: Sequence[TreatmentLink]) -> list[dict[str, str]]:
    """Drugs that were given beside what an alteration says of them."""
    return [
        {
            "Given": f"day {link.event.day:g}: {link.event.text}",
            "Alteration": link.alteration,
            "Says": link.support.statement.effect,
            "Of": " + ".join(link.drugs),
            "Tier": link.support.tier,
            "Evidence": LEVELS[link.support.statement.level],
            "In": link.support.statement.disease,
            "Source": f"{link.support.statement.source} {link.support.statement.reference}, "
            f"{link.support.statement.as_of}",
        }
        for link in links
    ]


def headline(found: Interpretation) -> str:
    """A card's first line: name, tier, fraction."""
    variant = found.alteration.variant
    vaf = "" if variant is None or variant.vaf is None else f" VAF {100 * variant.vaf:.0f} %"
    return f"**{plain(found.alteration.name)}** :{TINTS[found.tier]}-badge[{found.tier}]{vaf}"


def call_rows(
    calls: Calls,
    tiers: Sequence[str],
    ledger: Ledger,
    clonal: Sequence[Clonality],
    origins: Sequence[Origin],
    *,
    removed: bool,
    most: int | None = None,
) -> list[dict[str, object]]:
    """The calls that a ledger keeps, or those that it removed, the strongest tier first; at most so many."""
    order = list(TINTS)
    at = sorted(
        np.flatnonzero(ledger.kept != removed).tolist(), key=lambda n: order.index(tiers[n])
    )[:most]
    low, high = _fractions(calls)
    table = calls.table
    columns = {name: table[name].take(at).to_pylist() for name in table.column_names}
    rows = []
    for place, n in enumerate(at):
        told = {name: values[place] for name, values in columns.items()}
        rows.append(
            {
                "Tier": tiers[n],
                "Gene": told["gene"] or "-",
                "Protein": (told["hgvs_protein"] or "-").rsplit(":", 1)[-1].removeprefix("p."),
                "Consequence": (told["consequence"] or "not annotated").replace("_", " "),
                "VAF (%)": None if told["vaf"] is None else round(100 * told["vaf"], 1),
                "95 % interval": "-"
                if np.isnan(low[n])
                else f"{100 * low[n]:.0f} to {100 * high[n]:.0f}",
                "Tumor cells": clonal[n],
                "Origin": f"{origins[n].label}: {origins[n].reason}",
                "Depth": told["tumor_depth"],
                "Filter": told["filters"] or "none applied",
                "Transcript": (told["transcript"] or "-") + (" (MANE)" if told["is_mane"] else ""),
                "Named by": told["annotated_by"] or "not in the offline index",
                "Position": f"{told['chromosome']}:{told['position']} {told['reference']}>{told['alternate']}",
            }
            | ({"Removed by": ledger.removed_by[n]} if removed else {})
        )
    return rows


def _fractions(calls: Calls) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    counts = (calls.table[name].to_pandas() for name in ("tumor_alt_depth", "tumor_depth"))
    return interval(*counts)


def tiers_of(calls: Calls, found: Iterable[Interpretation]) -> list[str]:
    """The tier of each call: of its interpretation; where nothing is known of its gene IV or III, by the same
    rules.
    """
    known = {}
    for one in found:
        v = one.alteration.variant
        if v is not None:
            known[v.chromosome, v.position, v.reference, v.alternate] = one.tier
    names = (
        "chromosome",
        "position",
        "reference",
        "alternate",
        "consequence",
        "population_frequency",
    )
    rows = zip(*(calls.table[name].to_pylist() for name in names), strict=True)
    return [
        known.get((c, p, r, a)) or ("IV" if is_common_or_silent(terms, frequency) else "III")
        for c, p, r, a, terms, frequency in rows
    ]


def ledger_rows(ledger: Ledger, total: int) -> list[dict[str, object]]:
    """What each filter did."""
    rows: list[dict[str, object]] = [
        {"Filter": e.name, "Why": e.why, "Removed": e.removed, "Kept despite it": e.kept_despite}
        for e in ledger.entries
    ]
    kept = int(ledger.kept.sum())
    told = {
        "Filter": "all of them",
        "Why": f"{kept} of {total} calls are left",
        "Removed": total - kept,
    }
    return [*rows, told | {"Kept despite it": sum(e.kept_despite for e in ledger.entries)}]


def lollipop(found: Sequence[Interpretation], gene: str) -> go.Figure | None:
    """The changes of one gene along its protein; None where it has none."""
    spots = []
    for one in found:
        change = change_of(one.alteration)
        if one.alteration.gene == gene and change is not None and one.alteration.variant:
            spots.append((change.start, one.alteration.variant.vaf or 0.0, one))
    if not spots:
        return None
    figure = go.Figure()
    for position, height, one in spots:
        figure.add_shape(
            type="line",
            x0=position,
            x1=position,
            y0=0,
            y1=100 * height,
            line={"color": "#8a8f98", "width": 1.5},
        )
        figure.add_trace(
            go.Scatter(
                x=[position], y=[100 * height], mode="markers+text", showlegend=False,
                marker={"size": 12, "color": TIER_COLORS[one.tier]},
                text=one.alteration.name.split(" ", 1)[-1], textposition="top center",
            )
        )  # fmt: skip
    last = max(s[0] for s in spots)
    figure.update_layout(
        height=240, margin={"l": 50, "r": 20, "t": 20, "b": 40},
        xaxis={"title": f"residue of {gene}", "range": [0, 1.15 * last + 20], "zeroline": False},
        yaxis={"title": "VAF (%)", "range": [0, 115]},
    )  # fmt: skip
    return figure


def fraction_figure(calls: Calls, tiers: Sequence[str]) -> go.Figure:
    """Fractions against depth, by tier."""
    vaf = 100 * calls.table["vaf"].to_pandas().to_numpy(float)
    depth = calls.table["tumor_depth"].to_pandas().to_numpy(float)
    genes, figure = calls.texts("gene"), go.Figure()
    named = np.array(tiers)
    for tier, color in reversed(TIER_COLORS.items()):
        at = named == tier
        if at.any():
            figure.add_trace(
                go.Scattergl(
                    x=depth[at], y=vaf[at], mode="markers", name=tier, text=genes[at],
                    marker={"color": color, "size": 6 if tier in ("III", "IV") else 10},
                    hovertemplate="%{text}: VAF %{y:.0f} %, depth %{x}<extra></extra>",
                )
            )  # fmt: skip
    figure.update_layout(
        height=240, margin={"l": 50, "r": 20, "t": 20, "b": 40}, legend={"orientation": "h", "y": 1.15},
        xaxis={"title": "depth in the tumor (reads)", "type": "log"},
        yaxis={"title": "VAF (%)", "range": [0, 105]},
    )  # fmt: skip
    return figure


def spectrum_figure(burden: MutationBurden) -> go.Figure:
    """The 96 channels, or the six exchanges where the neighbours are not known."""
    figure = go.Figure()
    for number, (name, color) in enumerate(zip(EXCHANGES, EXCHANGE_COLORS, strict=True)):
        if burden.spectrum:
            part = slice(16 * number, 16 * number + 16)
            labels = [f"{c[0]}{c[2]}{c[6]}" for c in CHANNELS[part]]
            figure.add_trace(
                go.Bar(
                    x=[[name] * 16, labels],
                    y=burden.spectrum[part],
                    marker_color=color,
                    showlegend=False,
                )
            )
        else:
            figure.add_trace(
                go.Bar(
                    x=[name], y=[burden.substitutions[name]], marker_color=color, showlegend=False
                )
            )
    figure.update_layout(
        height=240,
        margin={"l": 50, "r": 20, "t": 20, "b": 40},
        yaxis={"title": "substitutions"},
        bargap=0.2,
    )
    return figure


def signature_figure(found: SignatureFit) -> go.Figure:
    """The share of each signature that explains something, with the interval of its bootstrap."""
    shown = found.notable[::-1]
    figure = go.Figure(
        go.Bar(
            x=[100 * e.share for e in shown], y=[e.signature for e in shown], orientation="h",
            marker_color="#1f77a4",
            error_x={
                "type": "data", "symmetric": False, "color": "#5b616b",
                "array": [100 * max(0.0, e.high - e.share) for e in shown],
                "arrayminus": [100 * max(0.0, e.share - e.low) for e in shown],
            },
            hovertemplate="%{y}: %{x:.1f} %<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(
        height=70 + 24 * len(shown), margin={"l": 90, "r": 20, "t": 10, "b": 40},
        xaxis={"title": "share of what the table explains (%)", "rangemode": "tozero"},
    )  # fmt: skip
    return figure


def burden_words(burden: MutationBurden) -> str:
    """Rates in a sentence."""
    rate = burden.mutations
    if rate is None and burden.unannotated:
        return (
            f"Mutations per Mb: unknown, since nobody says what {burden.unannotated} call(s) do; annotate the "
            "file (VEP, SnpEff), or make a panel (`avatar genomics build-panel`)."
        )
    if rate is None:
        return "Mutations per Mb: unknown, since the study does not declare its capture (`capture_mb`)."
    return (
        f"{rate.per_mb:.1f} nonsynonymous mutations per Mb (95 % interval {rate.low:.1f} to {rate.high:.1f}; "
        f"{rate.count} in {rate.megabases:g} Mb), {burden.indels} indels."
        + (
            f" What {burden.unannotated} call(s) do is not known: read it as a lower bound."
            if burden.unannotated
            else ""
        )
        + (
            " No normal sample: rare inherited variants are counted too, so read it as an upper bound."
            if burden.without_normal
            else ""
        )
    )


def genes_shown(avatar: Avatar) -> list[str]:
    """Genes with a change that can be drawn, those of the strongest tier first."""
    drawn = (
        i.alteration.gene for i in avatar.interpretations if change_of(i.alteration) is not None
    )
    return list(dict.fromkeys(drawn))


def ideogram(found: CopyNumber) -> go.Figure:
    """Log2 ratios along the genome, with arms and named genes."""
    starts = dict(zip(CHROMOSOMES, np.cumsum((0, *LENGTHS[found.build][:-1])), strict=True))
    figure = go.Figure()
    for name, color in (("gain", "#b3262e"), ("loss", "#1f77a4"), ("neutral", "#8a8f98")):
        x: list[float | None] = []
        y: list[float | None] = []
        for s in found.segments:
            if _way(s.log2) == name:
                first = starts[s.chromosome]
                x += [(first + s.start) / 1e6, (first + s.end) / 1e6, None]
                y += [s.log2, s.log2, None]
        line = {"color": color, "width": 3}
        figure.add_trace(
            go.Scattergl(x=x, y=y, mode="lines", name=name, line=line, hoverinfo="skip")
        )
    middles = [
        (starts[c] + n / 2) / 1e6 for c, n in zip(CHROMOSOMES, LENGTHS[found.build], strict=True)
    ]
    for start in list(starts.values())[1:]:
        figure.add_vline(x=start / 1e6, line={"color": "#e3e5e8", "width": 1})
    for gene in found.genes:
        if gene.call in ("amplification", "homozygous deletion"):
            chromosome, low, _ = GENES[found.build][gene.gene]
            figure.add_annotation(
                x=(starts[chromosome] + low) / 1e6, y=gene.log2, text=gene.gene, showarrow=True
            )
    figure.update_layout(
        height=280, margin={"l": 50, "r": 20, "t": 20, "b": 40}, legend={"orientation": "h", "y": 1.15},
        xaxis={"tickvals": middles, "ticktext": list(CHROMOSOMES), "showgrid": False, "title": "chromosome"},
        yaxis={"title": "log2 ratio", "zeroline": True},
    )  # fmt: skip
    return figure


def _way(log2: float) -> str:
    return "neutral" if abs(log2) < BEYOND else "gain" if log2 > 0 else "loss"


def copy_words(found: CopyNumber) -> str:
    """Arms and genes in a sentence."""
    arms = {
        call: [a.name for a in found.arms if a.call == call]
        for call in ("gain", "loss", "not covered")
    }
    genes = [
        f"{g.gene} {g.call}"
        for g in found.genes
        if g.call in ("amplification", "homozygous deletion")
    ]
    purity = "purity not known" if found.purity is None else f"purity {found.purity:.0%}"
    parts = [
        f"Whole arms gained: {', '.join(arms['gain']) or 'none'}",
        f"lost: {', '.join(arms['loss']) or 'none'}",
        f"genes: {', '.join(genes) or 'none amplified or homozygously deleted'}",
        f"{found.altered:.0%} of the covered genome altered ({purity}, ploidy {found.ploidy:g})",
    ]
    if arms["not covered"]:
        parts.append(f"not covered: {', '.join(arms['not covered'])}")
    return "; ".join(parts) + "."


def effect_rows(effects: Sequence[MarkerEffect]) -> list[dict[str, str]]:
    """What each marker changes, with its interval and source."""
    return [
        {
            "Marker": e.marker,
            "State": e.state + (f" ({e.told_by})" if e.told_by else ""),
            "Acts on": e.acts_on,
            "Changes": e.changes,
            "Value (90 % interval)": f"{e.median:.3g} ({e.low:.3g} to {e.high:.3g})"
            + ("" if e.unit == "1" else f" {e.unit}"),
            "Source": e.source,
        }
        for e in effects
    ]


def oncoprint(members: Sequence[Member], most: int = 25) -> go.Figure | None:
    """Genes by patients, the most often altered first; None where nothing is altered."""
    counts = Counter(gene for member in members for gene in member.genes)
    genes = [gene for gene, _ in counts.most_common(most)]
    if not genes:
        return None
    order = sorted(members, key=lambda m: tuple(gene not in m.genes for gene in genes))
    shown = [[int(gene in m.genes) for m in order] for gene in genes]
    labels = [f"{gene} {counts[gene] / len(members):.0%}" for gene in genes]
    figure = go.Figure(
        go.Heatmap(
            z=shown, x=[m.patient_id for m in order], y=labels, xgap=1, ygap=2, showscale=False,
            colorscale=[[0, "#eceef1"], [1, "#1f77a4"]], hovertemplate="%{x}, %{y}<extra></extra>",
        )
    )  # fmt: skip
    figure.update_layout(
        height=80 + 22 * len(genes), margin={"l": 110, "r": 20, "t": 10, "b": 40},
        yaxis={"autorange": "reversed"}, xaxis={"showticklabels": len(order) <= 20, "title": "patients"},
    )  # fmt: skip
    return figure
