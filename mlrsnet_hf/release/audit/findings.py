"""What an audit looks for, and how much it matters."""

from dataclasses import dataclass
from enum import Enum


class Severity(Enum):
    """What a finding means for the use of a source."""

    INFORMATIVE = "informative"
    """Worth knowing; images and labels are used as they are."""
    REPAIRABLE = "repairable"
    """Repaired when the release is opened with `label_version="verified"`, for MLRSNet the default."""
    UNUSABLE = "unusable"
    """The source is refused until this is mended."""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that an audit looks for."""

    name: str
    severity: Severity
    title: str
    """What is counted."""
    needs_images: bool = False
    """Whether it cannot be looked for in label files alone."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One place where a check found something."""

    check: Check
    where: str
    """A file or a scene."""
    detail: str = ""
    as_published: bool = False
    """Whether the release was published so, and rightly, or the system left it there: nothing to mend."""


LAYOUT = Check("layout", Severity.UNUSABLE, "files or folders that cannot be used")
LABEL_FILE = Check("label_file", Severity.UNUSABLE, "label files that cannot be read")
MISSING_IMAGE = Check("missing_image", Severity.UNUSABLE, "rows without their image", needs_images=True)
SURPLUS_IMAGE = Check("surplus_image", Severity.UNUSABLE, "images without a row", needs_images=True)
UNREADABLE_IMAGE = Check("unreadable_image", Severity.UNUSABLE, "images that cannot be read", needs_images=True)
OUTSIDE_VOCABULARY = Check(
    "outside_vocabulary", Severity.REPAIRABLE, "rows with labels outside their scene's vocabulary"
)
LOST_LABEL = Check("lost_label", Severity.REPAIRABLE, "rows without the label that all images of their scene carry")
KNOWN_ERROR = Check("known_error", Severity.REPAIRABLE, "rows with a label known to be wrong")
TOO_MANY_LABELS = Check("too_many_labels", Severity.REPAIRABLE, "rows with more than 13 labels")
NO_LABELS = Check("no_labels", Severity.INFORMATIVE, "rows without labels")
PASSED_OVER = Check("passed_over", Severity.INFORMATIVE, "files and folders that are passed over")
ABSENT_SCENE = Check("absent_scene", Severity.INFORMATIVE, "scenes that are not there")
IMAGE_COUNT = Check("image_count", Severity.INFORMATIVE, "scenes with another number of images than published")
LABEL_COUNT = Check("label_count", Severity.INFORMATIVE, "label counts of whole scenes that differ from the published")
LABEL_VERSION = Check("label_version", Severity.INFORMATIVE, "scenes whose rows are of no published label version")
IMAGE_SIZE = Check("image_size", Severity.INFORMATIVE, "images that are not 256x256", needs_images=True)
IMAGE_MODE = Check("image_mode", Severity.INFORMATIVE, "images that are not RGB", needs_images=True)
DUPLICATE = Check("duplicate", Severity.INFORMATIVE, "groups of byte-identical images", needs_images=True)

CHECKS = tuple(value for value in list(globals().values()) if isinstance(value, Check))
"""As they stand above, which is the order of the report."""
