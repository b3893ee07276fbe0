"""An audit as a table to read and as JSON."""

import json
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from mlrsnet_hf.release.audit.audit import Audit, SceneAudit, audit_repairs, audit_source
from mlrsnet_hf.release.audit.findings import CHECKS, Check, Finding, Severity
from mlrsnet_hf.release.audit.source import ImageFile
from mlrsnet_hf.reports.text_table import aligned
from mlrsnet_hf.taxonomy import LABELS

EXAMPLES = 3
"""How many findings of each check the table shows."""
_WIDTH = 100

_VERSIONS = {
    "2020": "2020, the right one",
    "2021": "2021",
    "either": "2020 or 2021, which agree in these scenes",
    "mixed": "some scenes of 2020, some of 2021",
    "neither": "neither that of 2020 nor that of 2021",
}
_RESULTS = {
    None: "clean",
    Severity.INFORMATIVE: "usable; the findings are for information",
    Severity.REPAIRABLE: "usable; wrong labels are repaired by default",
    Severity.UNUSABLE: "unusable until the findings marked unusable are mended",
}


def audit_as_json(audit: Audit) -> str:
    """Return everything that was found as a JSON object; a check that could not be made has the count null."""
    return json.dumps(
        {
            "source": audit.source,
            "result": audit.severity.value if audit.severity else "clean",
            "exit_code": audit.exit_code,
            "label_version": audit.version,
            "images_checked": audit.images_checked,
            "rows": sum(scene.rows for scene in audit.scenes),
            "images": _images(audit),
            "repaired_rows": audit.repaired_rows,
            "scenes": {scene.scene.published: _scene_as_json(scene) for scene in audit.scenes},
            "checks": {check.name: _check_as_json(audit, check) for check in CHECKS},
        },
        indent=1,
    )


def _images(audit: Audit) -> int | None:
    return sum(scene.images or 0 for scene in audit.scenes) if audit.images_checked else None


def _scene_as_json(audit: SceneAudit) -> dict[str, Any]:
    return {
        "rows": audit.rows,
        "images": audit.images,
        "published_images": audit.scene.images,
        "label_versions": sorted(audit.versions),
        "labels": {
            label.published: {
                "found": audit.labels[label.id],
                "published": audit.scene.label_counts.get(label.id, 0),
                "after_repair": audit.repaired_labels[label.id],
            }
            for label in LABELS
            if audit.labels[label.id] or label.id in audit.scene.label_counts
        },
    }


def _check_as_json(audit: Audit, check: Check) -> dict[str, Any]:
    findings = _of_check(audit, check)
    made = audit.images_checked or not check.needs_images
    return {
        "severity": check.severity.value,
        "title": check.title,
        "count": len(findings) if made else None,
        "findings": [{"where": finding.where, "detail": finding.detail} for finding in findings],
    }


def _of_check(audit: Audit, check: Check) -> list[Finding]:
    return [finding for finding in audit.findings if finding.check == check]


def audit_as_text(audit: Audit) -> str:
    """Return the audit as a table of scenes, a table of findings and a result."""
    rows, images = sum(scene.rows for scene in audit.scenes), _images(audit)
    held = f"{rows:,} rows, " + ("label files alone" if images is None else f"{images:,} images")
    lines = [
        f"source:         {audit.source}",
        f"holds:          {len(audit.scenes)} of 46 scenes, {held}",
        f"label version:  {_VERSIONS[audit.version]}",
        "",
        *_scene_table(audit),
        "* differs from the published count",
        "",
        *_finding_table(audit),
        "",
        f"result: {_RESULTS[audit.severity]}",
    ]
    if audit.repaired_rows:
        lines.append(
            f'{audit.repaired_rows:,} rows are repaired by label_version="verified"; mlrsnet audit --diff lists them'
        )
    return "\n".join(lines)


def _scene_table(audit: Audit) -> list[str]:
    counted = "images" if audit.images_checked else "rows"
    body = [
        (
            scene.scene.published,
            _marked(scene.count, scene.scene.images),
            f"{scene.scene.images:,}",
            _marked(scene.labels.total(), sum(scene.scene.label_counts.values())),
            f"{sum(scene.scene.label_counts.values()):,}",
            " and ".join(sorted(scene.versions)) or "neither",
        )
        for scene in audit.scenes
    ]
    return aligned([("scene", counted, "published", "labels", "published", "label version"), *body], "<>>>><")


def _marked(found: int, published: int) -> str:
    return f"{found:,}" if found == published else f"* {found:,}"


def _finding_table(audit: Audit) -> Iterator[str]:
    found = [(check, findings) for check in CHECKS if (findings := _of_check(audit, check))]
    if found:
        table = [(f"{len(findings):,}", check.title, f"({_gravity(check, findings)})") for check, findings in found]
        for line, (_, findings) in zip(aligned(table, "><<"), found, strict=True):
            yield line
            yield from _examples(findings)
    if not audit.images_checked:
        titles = ", ".join(check.title for check in CHECKS if check.needs_images)
        yield ""
        yield from textwrap.wrap(
            f"not looked for, as there are label files alone: {titles}", _WIDTH, break_on_hyphens=False
        )


def _gravity(check: Check, findings: Sequence[Finding]) -> str:
    return "nothing to mend" if all(finding.as_published for finding in findings) else check.severity.value


def _examples(findings: Sequence[Finding]) -> Iterator[str]:
    for finding in findings[:EXAMPLES]:
        line = f"          {finding.where}" + (f": {finding.detail}" if finding.detail else "")
        yield line if len(line) <= _WIDTH else f"{line[: _WIDTH - 3]}..."
    if len(findings) > EXAMPLES:
        yield "          ..."


def print_audit(source: str | Path, processes: int = 1, as_json: bool = False) -> int:
    """Audit a source, print the report, and return the exit code: 0 clean, 1 usable, 2 unusable.

    Raises:
        ReleaseError: There are no labels at all, or the source is an archive that cannot be read.
    """
    audit = audit_source(source, processes, progress=_with_bar)
    print(audit_as_json(audit) if as_json else audit_as_text(audit))
    return audit.exit_code


def _with_bar(files: Iterator[ImageFile], count: int) -> Iterable[ImageFile]:
    return tqdm(files, "decoding images", count, unit="image") if count else files


def print_repairs(source: str | Path) -> int:
    """Print the rows of a source that are repaired, one line each, and return 1 if there are any, else 0.

    Raises:
        ReleaseError: There are no labels at all, or a label file is faulty.
    """
    count = 0
    for count, repair in enumerate(audit_repairs(source), start=1):  # noqa: B007 - the last count is the result
        print(repair)
    return int(count > 0)
