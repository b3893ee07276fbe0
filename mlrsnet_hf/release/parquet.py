"""Parquet files with embedded images: copies on the Hub, and repositories made by `mlrsnet prepare`.

The columns are `image` (bytes and path, as `datasets` writes an image) and `labels` or `label`. What makes a copy
usable is the path: its stem gives scene and id as in the release. A repository of our own has a column `repaired` too.
"""

import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple, TypedDict

from mlrsnet_hf.configuration.json_file import json_as, parse_json
from mlrsnet_hf.errors import ReleaseError, UnknownNameError
from mlrsnet_hf.escaping import quoted
from mlrsnet_hf.release.archives.base import Found, disk_stamp, refuse_stand_in
from mlrsnet_hf.release.names import image_id, image_scene, is_clutter
from mlrsnet_hf.release.release import Release, ScenePart, make_entry
from mlrsnet_hf.release.repair import LabelVersion
from mlrsnet_hf.taxonomy import LABELS, Scene, find_label

_LABEL_COLUMNS = ("labels", "label")
_METADATA = "Write the file again with `datasets`, or use another copy."
_COPY = "Use a copy whose images kept their published names, such as airplane_00001.jpg, or the release itself."
_BATCH = 128
"""Images in memory at once, of however large a row group."""
_ROWS = 4096
_MOST_LABELS = 100
"""Entries of a list of labels, in the mean over a row group; 60 zeros and ones are the most that makes sense."""


class _Row(NamedTuple):
    """A row, and where its image lies."""

    file_name: str
    scene: Scene
    labels: tuple[int, ...]
    repaired: bool
    file: Path
    group: int
    """Row group."""
    position: int
    """Number of the row in its row group."""

    def __str__(self) -> str:
        return f"{self.file}, row group {self.group}, row {self.position}"


def parquet_files(folder: Path, depth: int = 3) -> list[Path]:
    """Return the Parquet files in a folder and below it, `depth` folders deep with its own; none twice by a link."""
    level, found, seen = [folder], [], {os.path.realpath(folder)}
    for _ in range(depth):
        below: list[Path] = []
        for one in level:
            for path in _children(one):
                is_folder = path.is_dir()
                if is_folder and os.path.realpath(path) not in seen:
                    seen.add(os.path.realpath(path))
                    below.append(path)
                elif not is_folder and path.suffix.casefold() == ".parquet":
                    found.append(path)
        level = below
    return sorted(found)


def _children(folder: Path) -> list[Path]:
    """Return what lies in a folder, but nothing of one that cannot be read."""
    try:
        return [path for path in sorted(folder.iterdir()) if not is_clutter(path.name)]
    except OSError:
        return []


def has_images(file: Path) -> bool:
    """Return whether a Parquet file has a column `image`, of whatever type, or cannot be read."""
    try:
        return "image" in _open(file).schema_arrow.names
    except ReleaseError:
        return True


def open_parquet(source: Path, files: Sequence[Path], label_version: LabelVersion | None) -> Release:
    """Open Parquet files as a release; see `read_parquet` and, for the label version, `open_release`."""
    release = read_parquet(source, files, refuse_repaired=label_version == "as-published")
    return release.in_label_version(label_version)


def read_parquet(source: Path, files: Sequence[Path], refuse_repaired: bool = False) -> Release:
    """Read Parquet files as a release with the labels that they hold; rows may be spread over them in any order.

    Raises:
        ReleaseError: A file cannot be read or lacks a column, the name of an image is missing, is not built like the
            release's or occurs twice, the labels are not the release's, or they are repaired ones, if that is refused.
    """
    by_scene: dict[Scene, dict[str, _Row]] = defaultdict(dict)
    for file in files:
        for row in _rows(file):
            name = image_id(row.file_name)
            first = by_scene[row.scene].setdefault(name, row)
            if first is not row:
                raise ReleaseError(f"{first} and {row}: both hold {name}", "Pass each image once.")
            if row.repaired and refuse_repaired:
                raise ReleaseError(
                    f"{row}: the labels are repaired ones",
                    "The published labels are not in it; pass the release.",
                )
    if not by_scene:
        raise ReleaseError(f"{source}: no rows in it", _COPY)
    scenes = sorted(by_scene, key=lambda scene: scene.id)
    return Release(source, tuple(_part(source, files, scene, by_scene[scene]) for scene in scenes))


class ParquetImages:
    """One scene's images in Parquet files."""

    def __init__(self, source: Path, files: Sequence[Path], rows: Iterable[_Row]) -> None:
        self.place = str(source)
        self._source = source
        self._files = files
        self._rows = {row.file_name: row for row in rows}
        self.names: Sequence[str] = list(self._rows)
        self.passed_over: Sequence[str] = ()

    def read(self, names: Sequence[str]) -> Iterator[Found]:
        """Yield the named images in the order of the files."""
        groups: dict[tuple[Path, int], dict[int, str]] = defaultdict(dict)
        for name in names:
            row = self._rows[name]
            groups[row.file, row.group][row.position] = name
        for (file, group), positions in sorted(groups.items()):
            for position, content in _images(file, group):
                if position in positions:
                    yield positions.pop(position), content
                    if not positions:
                        break

    def stamps(self) -> list[str]:
        """Return name, size and modification time of the files."""
        return [disk_stamp(file) for file in self._files]


def _part(source: Path, files: Sequence[Path], scene: Scene, rows: dict[str, _Row]) -> ScenePart:
    named = sorted(rows.items())
    return ScenePart(
        entries=tuple(make_entry(scene, name, row.file_name, row.labels, row.repaired) for name, row in named),
        image_names=tuple(row.file_name for _, row in named),
        images=ParquetImages(source, files, rows.values()),
    )


def _rows(file: Path) -> Iterator[_Row]:
    """Yield the rows of a file, without their images."""
    parquet = _open(file)
    column = _label_column(file, parquet.schema_arrow)
    _refuse_other_types(file, parquet.schema_arrow, column)
    columns = ["image.path", column, *({"repaired"} & set(parquet.schema_arrow.names))]
    decode = _decoder(parquet, file, column)
    for group in range(parquet.num_row_groups):
        _refuse_long_lists(file, parquet, group, column)
        position = 0
        for paths, labels, repaired in _columns(file, parquet, group, column, columns):
            for path, values, flag in zip(paths, labels, repaired, strict=True):
                where = f"{file}, row group {group}, row {position}"
                name = (path or "").replace("\\", "/").rpartition("/")[2]
                yield _Row(name, _scene(where, name), decode(where, values), bool(flag), file, group, position)
                position += 1


def _columns(file: Path, parquet: Any, group: int, column: str, columns: Sequence[str]) -> Iterator[tuple[list, ...]]:  # noqa: ANN401
    """Yield paths, labels and whether they are repaired, of some rows of a group at a time."""
    batches = _guarded(file, partial(parquet.iter_batches, _ROWS, row_groups=[group], columns=columns))
    while (batch := _guarded(file, partial(next, batches, None))) is not None:
        paths = _guarded(file, batch.column("image").field("path").to_pylist)
        labels = _guarded(file, batch.column(column).to_pylist)
        yield paths, labels, batch.column("repaired").to_pylist() if "repaired" in columns else [False] * len(paths)


def _open(file: Path) -> Any:  # noqa: ANN401 - pyarrow has no types
    from pyarrow.parquet import ParquetFile

    return _guarded(file, partial(ParquetFile, file))


def _guarded(file: Path, act: Callable[[], Any]) -> Any:  # noqa: ANN401
    from pyarrow import ArrowException

    try:
        return act()
    except (ArrowException, OSError, UnicodeDecodeError) as error:
        refuse_stand_in(file, str(file))
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise ReleaseError(f"{file}: cannot be read as a Parquet file ({reason})", "Fetch it again.") from error


def _label_column(file: Path, schema: Any) -> str:  # noqa: ANN401
    """Return the name of the column with the labels, the columns being those of a copy."""
    from pyarrow import types

    image = schema.field("image").type if schema.get_field_index("image") >= 0 else None  # -1 if it stands twice, too
    if image is None or not types.is_struct(image) or not {"bytes", "path"} <= {field.name for field in image}:
        raise ReleaseError(f"{file}: no column 'image' with the bytes and path of image files", _COPY)
    is_list = (types.is_list, types.is_large_list, types.is_fixed_size_list)
    for name in _LABEL_COLUMNS:
        if schema.get_field_index(name) >= 0 and any(check(schema.field(name).type) for check in is_list):
            return name
    raise ReleaseError(f"{file}: no column 'labels' or 'label' with a list for each image", _COPY)


def _refuse_other_types(file: Path, schema: Any, column: str) -> None:  # noqa: ANN401
    """Refuse columns whose values are no bytes, paths, labels or truth values, or that stand twice."""
    from pyarrow import types

    image, labels = schema.field("image").type, schema.field(column).type
    is_text = (types.is_string, types.is_large_string)
    is_bytes = (types.is_binary, types.is_large_binary)
    is_label = (*is_text, types.is_integer, types.is_floating, types.is_boolean, types.is_null)
    expected = {
        **{
            f"image.{name}": (
                image.field(at).type if (at := image.get_field_index(name)) >= 0 else "two columns",
                checks,
            )
            for name, checks in (("bytes", is_bytes), ("path", is_text))
        },
        column: (labels.value_type, is_label),
    }
    if "repaired" in schema.names:
        at = schema.get_field_index("repaired")
        expected["repaired"] = (schema.field(at).type if at >= 0 else "two columns", (types.is_boolean,))
    for name, (kind, checks) in expected.items():
        if isinstance(kind, str) or not any(check(kind) for check in checks):
            raise ReleaseError(
                f"{file}: column {name!r} holds {quoted(str(kind))}",
                "Use a copy as `datasets` writes it: bytes and path of images, and lists of names or numbers.",
            )


def _refuse_long_lists(file: Path, parquet: Any, group: int, column: str) -> None:  # noqa: ANN401
    """Refuse lists of labels that no image has, before they are read."""
    about = _guarded(file, partial(parquet.metadata.row_group, group))
    for place in range(about.num_columns):
        chunk = about.column(place)
        if chunk.path_in_schema.partition(".")[0] == column and chunk.num_values > _MOST_LABELS * about.num_rows:
            raise ReleaseError(
                f"{file}, row group {group}: {chunk.num_values:,} labels of {about.num_rows:,} images", _COPY
            )


_LabelIds = Callable[[str, Sequence[Any] | None], tuple[int, ...]]


def _decoder(parquet: Any, file: Path, column: str) -> _LabelIds:  # noqa: ANN401
    """Return what turns a row's value into label ids; a value that occurs again is not looked at again."""
    by_class = cache(partial(_class_labels, parquet.schema_arrow, file, column))
    known: dict[tuple[Any, ...], tuple[int, ...]] = {}

    def decode(where: str, values: Sequence[Any] | None) -> tuple[int, ...]:
        key = tuple(values or ())
        if key not in known:
            try:
                known[key] = tuple(sorted(set(_label_ids(key, by_class))))
            except ReleaseError:  # of the whole file
                raise
            except (UnknownNameError, ValueError, TypeError) as error:
                reason = error.found if isinstance(error, UnknownNameError) else str(error)
                raise ReleaseError(f"{where}: {reason}", "Use a copy with MLRSNet's 60 labels.") from error
        return known[key]

    return decode


def _label_ids(values: tuple[Any, ...], by_class: Callable[[], Sequence[int]]) -> list[int]:
    """Return label ids from names, from ids, or from 60 zeros and ones.

    Sixty numbers that are zeros and ones are not ids, because no image carries all labels.
    """
    if all(isinstance(value, str) for value in values):
        return [find_label(value).id for value in values]
    if len(values) == len(LABELS) and set(values) <= {0, 1}:
        return [label_id for label_id, value in enumerate(values) if value]
    label_ids = by_class()
    wrong = [value for value in values if type(value) is not int or not 0 <= value < len(label_ids)]
    if wrong:
        raise ValueError(f"label {wrong[0]!r} is none of the ids 0 to {len(label_ids) - 1}")
    return [label_ids[value] for value in values]


def _class_labels(schema: Any, file: Path, column: str) -> Sequence[int]:  # noqa: ANN401
    """Return the label ids that the column's numbers stand for: by the names of its classes, else as in the release."""
    names = _names(_features(schema, file).get(column), f"{file}: column {column!r}")
    try:
        return [find_label(name).id for name in names] if names else range(len(LABELS))
    except UnknownNameError as error:
        raise ReleaseError(f"{file}: column {column!r}: {error.found}", error.remedy) from error


class _Info(TypedDict, total=False):
    features: Mapping[str, Any]


class _Metadata(TypedDict, total=False):
    """What `datasets` writes into the metadata of a Parquet file; other versions of it write other features."""

    info: _Info


def _features(schema: Any, file: Path) -> Mapping[str, Any]:  # noqa: ANN401
    """Return the features that `datasets` has written beside the columns, by column."""
    told = (schema.metadata or {}).get(b"huggingface", b"{}")
    metadata: _Metadata = parse_json(told, _Metadata, f"{file}: metadata 'huggingface'", _METADATA, ReleaseError)
    return metadata.get("info", {}).get("features", {})


def _names(feature: Any, where: str) -> Sequence[str]:  # noqa: ANN401 - differs between versions of `datasets`
    """Return the class names of a list of `ClassLabel`."""
    inner = feature[0] if isinstance(feature, list) and feature else feature
    while isinstance(inner, dict) and "names" not in inner and "feature" in inner:
        inner = inner["feature"]
    if not isinstance(inner, dict) or not inner.get("names"):
        return ()
    names: tuple[str, ...] = json_as(inner["names"], tuple[str, ...], where, _METADATA, ReleaseError)
    return names


def _scene(where: str, file_name: str) -> Scene:
    if not file_name:
        raise ReleaseError(f"{where}: the image has no file name, so that its scene and id are not known", _COPY)
    scene = image_scene(file_name)
    if scene is None:
        raise ReleaseError(
            f"{where}: the file name {file_name!r} does not begin with one of MLRSNet's 46 scenes", _COPY
        )
    return scene


def _images(file: Path, group: int) -> Iterator[tuple[int, bytes]]:
    """Yield position and content of a row group's images."""
    parquet = _open(file)
    position = 0
    batches = parquet.iter_batches(batch_size=_BATCH, row_groups=[group], columns=["image.bytes"])
    while (batch := _guarded(file, partial(next, batches, None))) is not None:
        for content in batch.column("image").field("bytes").to_pylist():
            yield position, content or b""
            position += 1
