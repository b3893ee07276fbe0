"""Principal components, whatever the batches."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlrsnet_hf.errors import ConfigurationError
from mlrsnet_hf.retrieval.embeddings.pca import fit_pca, load_pca, unit_length


@given(size=st.integers(1, 40), seed=st.integers(0, 99))
def test_components_do_not_depend_on_the_batches(size: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(40, 5)).astype(np.float32) + 100
    whole = fit_pca([vectors], 2, whiten=False)
    parts = fit_pca([vectors[start : start + size] for start in range(0, 40, size)], 2, whiten=False)
    np.testing.assert_allclose(parts.components, whole.components, atol=1e-6)
    values, axes = np.linalg.eigh(np.cov(vectors.astype(np.float64).T))
    np.testing.assert_allclose(np.abs(whole.components[0]), np.abs(axes[:, -1]), atol=1e-6)
    np.testing.assert_allclose(whole.variances, values[::-1][:2])


def test_zero_stays_zero_at_unit_length() -> None:
    np.testing.assert_allclose(unit_length(np.float32([[3, 4], [0, 0]])), [[0.6, 0.8], [0, 0]])


def test_torn_principal_components_are_one_sentence(tmp_path: Path) -> None:
    fit_pca([np.random.default_rng(0).normal(size=(9, 4)).astype(np.float32)], 2, whiten=False).save(
        tmp_path / "pca.npz"
    )
    whole = (tmp_path / "pca.npz").read_bytes()
    (tmp_path / "pca.npz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConfigurationError, match=r"pca\.npz"):
        load_pca(tmp_path / "pca.npz")
