"""`mlrsnet audit`: what an audit found, as a table to read or as JSON; and the rows that are repaired."""

import json
import textwrap
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from mlrsnet_hf.escaping import on_one_line
from mlrsnet_hf.release.audit.audit import Audit, audit_repairs, audit_source
from mlrsnet_hf.release.audit.findings import CHECKS, Check, Finding, Severity
from mlrsnet_hf.release.audit.source import AuditedFile
from mlrsnet_hf.reports.text_table import aligned
from mlrsnet_hf.runtime.logs import print_result, progress_bar
from mlrsnet_hf.taxonomy import LABELS

EXAMPLES = 3
"""Number of findings of each check that the table shows."""
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


def print_audit(source: str | Path, processes: int = 1, as_json: bool = False) -> int:
    """Audit a source, print the report, and return the exit code: 0 clean, 1 usable, 2 unusable.

    Raises:
        ReleaseError: There are no labels at all, or the source is an archive that cannot be read.
    """
    audit = audit_source(source, processes, progress=_with_bar)
    print_result(audit_as_json(audit) if as_json else audit_as_text(audit))
    return audit.exit_code


def _with_bar(files: Iterator[AuditedFile], count: int) -> Iterable[AuditedFile]:
    bar: Iterable[AuditedFile] = progress_bar(files, "decoding images", total=count, unit="image", shown=count > 0)
    return bar


def print_repairs(source: str | Path) -> int:
    """Print the rows of a source that are repaired, one line each, and return 1 if there are any, else 0.

    Raises:
        ReleaseError: There are no labels at all, or a label file is faulty.
    """
    count = 0
    for count, repair in enumerate(audit_repairs(source), start=1):  # noqa: B007 - the last count is the result
        print_result(repair)
    return int(count > 0)


def audit_as_json(audit: Audit) -> str:
    """Return everything that was found as a JSON object; a check that could not be made has the count null."""
    checks = {}
    for check, findings in _findings(audit).items():
        checks[check.name] = {
            "severity": check.severity.value,
            "title": check.title,
            "count": len(findings) if audit.images_checked or not check.needs_images else None,
            "findings": [{"where": finding.where, "detail": finding.detail} for finding in findings],
        }
    content = {
        "source": audit.source,
        "result": audit.severity.value if audit.severity else "clean",
        "exit_code": audit.exit_code,
        "label_version": audit.version,
        "is_mlrsnet": audit.recognition.is_mlrsnet,
        "published_rows": audit.recognition.known,
        "images_checked": audit.images_checked,
        "rows": sum(scene.rows for scene in audit.scenes),
        "images": _images(audit),
        "repaired_rows": audit.repaired_rows,
        "scenes": _scenes_as_json(audit),
        "checks": checks,
    }
    return json.dumps(content, indent=1)


def _scenes_as_json(audit: Audit) -> dict[str, Any]:
    scenes = {}
    for one in audit.scenes:
        published = one.scene.label_counts
        scenes[one.scene.published] = {
            "rows": one.rows,
            "images": one.images,
            "published_images": one.scene.images,
            "label_versions": sorted(one.versions),
            "labels": {
                label.published: {
                    "found": one.labels[label.id],
                    "published": published.get(label.id, 0),
                    "after_repair": one.repaired_labels[label.id],
                }
                for label in LABELS
                if one.labels[label.id] or label.id in published
            },
        }
    return scenes


def _findings(audit: Audit) -> dict[Check, list[Finding]]:
    return {check: [finding for finding in audit.findings if finding.check == check] for check in CHECKS}


def _images(audit: Audit) -> int | None:
    return sum(scene.images or 0 for scene in audit.scenes) if audit.images_checked else None


def audit_as_text(audit: Audit) -> str:
    """Return the audit as a table of scenes, a table of findings and a result."""
    rows, images = sum(scene.rows for scene in audit.scenes), _images(audit)
    held = f"{rows:,} rows, " + ("label files alone" if images is None else f"{images:,} images")
    lines = [
        f"source:         {on_one_line(audit.source)}",
        f"holds:          {len(audit.scenes)} of 46 scenes, {held}",
        f"label version:  {_label_version(audit)}",
        "",
        *_scene_table(audit),
        "* differs from the published count",
        "",
        *_finding_table(audit),
        "",
        f"result: {_result(audit)}",
    ]
    if audit.repaired_rows:
        lines.append(
            f'{audit.repaired_rows:,} rows are repaired by default, label_version="verified"; '
            "mlrsnet audit --diff lists them"
        )
    return "\n".join(lines)


def _label_version(audit: Audit) -> str:
    if not audit.recognition.is_mlrsnet:
        return f"not recognized as MLRSNet ({audit.recognition}); labels are taken as they are"
    return _VERSIONS[audit.version]


def _result(audit: Audit) -> str:
    result = _RESULTS[audit.severity]
    if audit.images_checked or audit.severity is Severity.UNUSABLE:
        return result
    state, separator, rest = result.partition("; ")
    alone = "label files alone, without the images that load_dataset needs"
    return f"{alone}{separator}{rest}" if rest else f"{state} {alone}"


def _scene_table(audit: Audit) -> list[str]:
    def marked(found: int, published: int) -> str:
        return f"{found:,}" if found == published else f"* {found:,}"

    counted = "images" if audit.images_checked else "rows"
    rows = [("scene", counted, "published", "labels", "published", "label version")]
    for one in audit.scenes:
        images, labels = one.scene.images, sum(one.scene.label_counts.values())
        counts = marked(one.count, images), f"{images:,}", marked(one.labels.total(), labels), f"{labels:,}"
        rows.append((one.scene.published, *counts, " and ".join(sorted(one.versions)) or "neither"))
    return aligned(rows, "<>>>><")


def _finding_table(audit: Audit) -> Iterator[str]:
    """Yield a line for each check that found something, the first findings below."""
    found = {check: findings for check, findings in _findings(audit).items() if findings}
    rows = []
    for check, findings in found.items():
        to_mend = not all(finding.as_published for finding in findings)
        rows.append((f"{len(findings):,}", check.title, f"({check.severity.value if to_mend else 'nothing to mend'})"))
    for line, findings in zip(aligned(rows, "><<"), found.values(), strict=True):
        yield line
        for finding in findings[:EXAMPLES]:
            example = on_one_line(finding.where + (f": {finding.detail}" if finding.detail else ""))
            yield from textwrap.wrap(
                example,
                _WIDTH,
                initial_indent=" " * 10,
                subsequent_indent=" " * 12,
                break_long_words=False,
                break_on_hyphens=False,
            )
        if len(findings) > EXAMPLES:
            yield "          ..."
    if not audit.images_checked:
        titles = ", ".join(check.title for check in CHECKS if check.needs_images)
        yield ""
        yield from textwrap.wrap(
            f"not looked for, as there are label files alone: {titles}", _WIDTH, break_on_hyphens=False
        )
