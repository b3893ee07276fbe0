"""Scores of labels by a linear probe on embeddings, each image scored by a probe that has not seen it.

The quick way to out-of-fold scores where no network is trained k times: ridge regression of all labels at once, each
with the penalty that generalizes best, then a logistic curve for each label that makes probabilities of its values
(Platt 1999). Needs scikit-learn, which the extra `curate` brings.
"""

import numpy as np
import numpy.typing as npt

from mlrsnet_hf.curation.wrong_labels.calibration import logistic_curve
from mlrsnet_hf.curation.wrong_labels.label_patterns import judged_together
from mlrsnet_hf.errors import ConfigurationError

FOLDS = 5
_PENALTIES = np.logspace(0, 5, 6)


def out_of_fold_scores(
    embeddings: npt.NDArray[np.float32],
    targets: npt.NDArray[np.bool_],
    folds: int = FOLDS,
    groups: npt.NDArray[np.int64] | None = None,
    seed: int = 0,
    judged: npt.NDArray[np.bool_] | None = None,
) -> npt.NDArray[np.float64]:
    """Return the probability of each label for each image, by probes of the other folds.

    Args:
        embeddings: (N, D), finite.
        targets: (N, L).
        folds: Number of folds.
        groups: (N,) of images that stay in one fold, such as near-duplicates, whose labels would be known; None for
            images that have nothing to do with each other.
        seed: Of the folds.
        judged: (N, L), false where nothing is known of a label, and nothing is learned; None where all are known.

    Returns:
        (N, L), above 0 and below 1.

    Raises:
        ConfigurationError: There are fewer images, or groups of them, than folds.
    """
    from sklearn.linear_model import RidgeCV
    from sklearn.model_selection import GroupKFold, KFold
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    parts = len(embeddings) if groups is None else len(np.unique(groups))
    if not 2 <= folds <= parts:
        raise ConfigurationError(
            f"{parts} images, or groups of them, cannot be cut into {folds} folds",
            "Give fewer folds, 2 at least, or more images.",
        )
    splitter = KFold if groups is None else GroupKFold
    inputs, outputs = np.asarray(embeddings, np.float64), targets.astype(np.float64)
    values = np.zeros(targets.shape)
    for taught, asked in splitter(folds, shuffle=True, random_state=seed).split(inputs, groups=groups):
        for images, columns in judged_together(targets.shape, judged):
            rows = taught[images[taught]]
            if len(rows) < 2:
                continue  # nothing is to be learned from one
            probe = make_pipeline(StandardScaler(), RidgeCV(_PENALTIES, alpha_per_target=True))
            probe.fit(inputs[rows], outputs[np.ix_(rows, columns)])
            values[np.ix_(asked, columns)] = probe.predict(inputs[asked]).reshape(len(asked), len(columns))
    known = np.ones(targets.shape, bool) if judged is None else judged
    columns_of = zip(values.T, targets.T, known.T, strict=True)
    return np.stack([logistic_curve(*column) for column in columns_of], axis=1)
