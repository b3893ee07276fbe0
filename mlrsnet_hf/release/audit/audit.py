"""The audit: what is in a copy of the release, beside what was published.

It goes on where `open_release` stops: a faulty label file, a missing or an unreadable image is a finding among others.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mlrsnet_hf.release.audit import findings as checks
from mlrsnet_hf.release.audit.findings import Finding, Severity
from mlrsnet_hf.release.audit.rows import (
    Repair,
    find_repairs,
    image_findings,
    match_findings,
    repair_findings,
    row_findings,
)
from mlrsnet_hf.release.audit.source import AuditedFile, list_source, read_images
from mlrsnet_hf.release.listing import Listing
from mlrsnet_hf.release.recognition import (
    PublishedVersion,
    Recognition,
    choose_label_version,
    matching_versions,
    recognize,
)
from mlrsnet_hf.taxonomy import LABELS, SCENES, Scene

SourceVersion = Literal["2020", "2021", "either", "mixed", "neither"]
"""`either`: the scenes that are there have the same rows in both; `mixed`: some are of one, some of the other."""
ShowProgress = Callable[[Iterator[AuditedFile], int], Iterable[AuditedFile]]
"""Wraps the image files, of which there are so many, to show how far the audit is."""


@dataclass(frozen=True, slots=True)
class SceneAudit:
    """A scene's counts in the source; the published ones are the scene's own."""

    scene: Scene
    rows: int
    images: int | None
    """None where there are label files alone."""
    labels: Counter[int]
    """How many rows carry each label, by label id, as published."""
    repaired_labels: Counter[int]
    """The same after repair."""
    versions: frozenset[PublishedVersion]
    """The published versions that hold all of these rows."""

    @property
    def count(self) -> int:
        """Number of images, or of rows where there are label files alone."""
        return self.rows if self.images is None else self.images


@dataclass(frozen=True, slots=True)
class Audit:
    """What an audit found."""

    source: str
    scenes: tuple[SceneAudit, ...]
    """The scenes that have rows or images, by scene id."""
    images_checked: bool
    """False for label files alone."""
    recognition: Recognition
    """Whether it is MLRSNet; labels of other data are not repaired, and no fault by MLRSNet's rules."""
    repaired_rows: int
    """How many rows are repaired by default."""
    findings: tuple[Finding, ...]
    """Findings in the order of `CHECKS`."""

    @property
    def version(self) -> SourceVersion:
        """The published version of the label files that the source holds."""
        held = [scene.versions for scene in self.scenes]
        if not held or not all(held):
            return "neither"
        common = frozenset[PublishedVersion].intersection(*held)
        if len(common) == 2:
            return "either"
        return next(iter(common)) if common else "mixed"

    @property
    def severity(self) -> Severity | None:
        """The gravest of the findings, None if there is none but what was rightly published so."""
        severities = (finding.check.severity for finding in self.findings if not finding.as_published)
        return max(severities, key=list(Severity).index, default=None)

    @property
    def exit_code(self) -> int:
        """0 clean, 1 repairable or informative findings, 2 unusable."""
        return {None: 0, Severity.UNUSABLE: 2}.get(self.severity, 1)


def audit_source(source: str | Path, processes: int = 1, progress: ShowProgress = lambda files, _: files) -> Audit:
    """Audit a copy of the release, or label files alone.

    Args:
        source: What `open_release` or `open_labels` takes.
        processes: How many processes decode images; the findings are the same for any number.
        progress: Wraps the iterator of image files, given how many there are.

    Raises:
        ReleaseError: There are no labels at all, or the source is an archive that cannot be read.
    """
    listing = list_source(source)
    recognition = _recognition(listing)
    repairs = list(find_repairs(listing.rows)) if recognition.is_mlrsnet else []
    scenes = tuple(_scene_audits(listing, repairs))
    files = progress(read_images(listing), listing.image_count)
    findings = [
        *_source_findings(listing),
        *match_findings(listing),
        *repair_findings(repairs),
        *row_findings(listing.rows, known={scene.scene for scene in scenes if scene.versions}),
        *_scene_findings(scenes),
        *image_findings(files, processes),
    ]
    if not recognition.is_mlrsnet:  # what is wrong in MLRSNet may be right elsewhere
        findings = [finding for finding in findings if finding.check.severity is not Severity.REPAIRABLE]
    return Audit(
        str(source),
        scenes,
        listing.images is not None,
        recognition,
        len(repairs),
        tuple(sorted(findings, key=lambda finding: checks.CHECKS.index(finding.check))),
    )


def audit_repairs(source: str | Path) -> Iterator[Repair]:
    """Return the rows of a source that are repaired by default, none if it is not MLRSNet; images are not looked at."""
    listing = list_source(source, with_images=False)
    for error in listing.label_faults.values():
        raise error
    repaired = choose_label_version(None, _recognition(listing), source) == "verified"
    return find_repairs(listing.rows) if repaired else iter(())


def _recognition(listing: Listing) -> Recognition:
    return recognize((row.file_name, row.labels) for rows in listing.rows.values() for row in rows)


def _scene_audits(listing: Listing, repairs: Iterable[Repair]) -> Iterator[SceneAudit]:
    repairs_by_scene: dict[Scene, list[Repair]] = defaultdict(list)
    for repair in repairs:
        repairs_by_scene[repair.scene].append(repair)
    for scene in SCENES:
        rows = listing.rows.get(scene, ())
        images = None if listing.images is None else len(listing.image_names(scene))
        if rows or images:
            published = Counter(label for row in rows for label in row.labels)
            repaired = published.copy()
            for repair in repairs_by_scene[scene]:
                repaired.subtract(repair.spurious)
                repaired.update(repair.lost)
            yield SceneAudit(
                scene,
                len(rows),
                images,
                published,
                +repaired,
                matching_versions((row.file_name, row.labels) for row in rows),
            )


def _source_findings(listing: Listing) -> Iterator[Finding]:
    yield from (Finding(checks.LAYOUT, conflict.found) for conflict in listing.conflicts)
    yield from (Finding(checks.LAYOUT, scene.published, str(e)) for scene, e in listing.image_faults.items())
    yield from (Finding(checks.LABEL_FILE, scene.published, str(e)) for scene, e in listing.label_faults.items())
    for stray in listing.strays:
        yield Finding(checks.PASSED_OVER, stray.place, stray.reason, as_published=stray.is_clutter)
    there = {*listing.rows, *listing.label_faults, *(listing.images or {}), *listing.image_faults}
    yield from (Finding(checks.ABSENT_SCENE, scene.published) for scene in SCENES if scene not in there)


def _scene_findings(scenes: Iterable[SceneAudit]) -> Iterator[Finding]:
    for audit in scenes:
        scene = audit.scene
        if audit.count != scene.images:
            yield Finding(checks.IMAGE_COUNT, scene.published, f"{audit.count:,} instead of {scene.images:,}")
        if not audit.versions:
            yield Finding(checks.LABEL_VERSION, scene.published)
        if audit.rows == scene.images:
            yield from _label_count_findings(audit)


def _label_count_findings(audit: SceneAudit) -> Iterator[Finding]:
    for label in LABELS:
        found, published = audit.labels[label.id], audit.scene.label_counts.get(label.id, 0)
        if found != published:
            repaired = audit.repaired_labels[label.id]
            detail = f"{found:,} instead of {published:,}; {repaired:,} after repair"
            yield Finding(checks.LABEL_COUNT, f"{audit.scene.published}/{label.name}", detail)
