import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from chainrule.data import stratified_split
from chainrule.errors import ConfigError


@given(st.lists(st.integers(0, 4), max_size=60), st.floats(0.01, 0.99), st.integers(0, 9))
def test_a_partition_with_the_promised_counts(labels, fraction, seed):
    labels = np.array(labels, np.int64)
    kept, held = stratified_split(labels, fraction, seed)
    np.testing.assert_array_equal(np.sort(np.concatenate([kept, held])), np.arange(len(labels)))
    for label in set(labels.tolist()):
        n = int((labels == label).sum())
        assert (labels[held] == label).sum() == min(max(round(fraction * n), 1), n - 1)


def test_same_seed_same_split_other_seed_other_split():
    labels = np.repeat(np.arange(3), 50)
    assert np.array_equal(stratified_split(labels, 0.1, 0)[1], stratified_split(labels, 0.1, 0)[1])
    assert not np.array_equal(
        stratified_split(labels, 0.1, 0)[1], stratified_split(labels, 0.1, 1)[1]
    )


def test_known_split_stays():
    """Changing this would change everyone's validation images."""
    np.testing.assert_array_equal(
        stratified_split([0, 0, 0, 0, 1, 1, 1, 1], 0.5, 0)[1], [0, 2, 4, 7]
    )


@pytest.mark.parametrize("fraction, seed", [(0, 0), (1, 0), (-0.1, 0), (0.1, -1)])
def test_impossible_values(fraction, seed):
    with pytest.raises(ConfigError, match="split"):
        stratified_split([0, 0], fraction, seed)
