import math

import pytest
import torch

from genkit.data.transforming import BLOCK, Chain
from genkit.errors import ComponentError, DataError
from genkit.interfaces import Transform
from genkit.registry.registry import installed
from genkit_transforms import Log1pTransform, RangeTransform, StandardizeTransform

COUNTS = torch.poisson(torch.rand(300, 4, generator=torch.Generator().manual_seed(0)) * 50)


@pytest.fixture
def chain():
    made = Chain.of([Log1pTransform.Config(), StandardizeTransform.Config()], (4,))
    made.fit(COUNTS)
    return made


def test_each_is_fitted_to_what_those_before_it_give(chain):
    logs = torch.log1p(COUNTS)
    torch.testing.assert_close(chain(COUNTS), (logs - logs.mean(0)) / logs.std(0, correction=0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(chain.inverse(chain(COUNTS)), COUNTS, rtol=1e-4, atol=1e-4)


def test_the_log_determinants_add_up(chain):
    deviations = torch.log1p(COUNTS).std(0, correction=0).log().sum()
    torch.testing.assert_close(chain.log_det(COUNTS), -torch.log1p(COUNTS).sum(1) - deviations, rtol=1e-4, atol=1e-4)
    assert chain.without_log_det is None


def test_without_transforms_nothing_changes():
    empty, x = Chain(), torch.rand(3, 2)
    assert empty(x) is x
    assert empty.inverse(x) is x
    assert empty.log_det(x).tolist() == [0, 0, 0]
    assert empty.state_dict() == {}


def test_bytes_are_read_as_shares_of_255_and_many_data_in_blocks():
    x = torch.randint(0, 256, (2 * BLOCK // 16 + 5, 16), dtype=torch.uint8)
    ranged = Chain.of([RangeTransform.Config(low=0, high=2, by="all")], (16,))
    ranged.fit(x)
    assert ranged.extent(x) == (0.0, 2.0)
    assert float(ranged[0].width.max()) == 1.0


def test_what_is_fitted_is_stored_and_read_bit_for_bit(chain):
    again = Chain.of([Log1pTransform.Config(), StandardizeTransform.Config()], (4,))
    again.load_state_dict(chain.state_dict())
    assert torch.equal(again(COUNTS), chain(COUNTS))
    assert list(chain.state_dict()) == ["1.mean", "1.deviation"]


def test_data_outside_a_domain_and_what_is_not_finite_are_refused():
    late = Chain.of([StandardizeTransform.Config(), Log1pTransform.Config()], (4,))
    with pytest.raises(DataError, match="transform 'log1p' takes values from 0 to inf, and the data go from -"):
        late.fit(COUNTS)


@pytest.fixture
def clipped(variant):
    """A chain with a transform that can neither be inverted nor has a density."""
    name = variant(
        Transform,
        fit=lambda self, blocks: None,
        forward=lambda self, x: x.clamp(0, 1),
        inverse=lambda self, y: y,
        log_det=lambda self, x: x,
        invertible=False,
        has_log_det=False,
    )
    return Chain.of([Log1pTransform.Config(), installed().settings("transform", name)()], (4,))


def test_what_cannot_be_inverted_is_one_error_and_what_has_no_density_is_named(clipped):
    with pytest.raises(ComponentError, match="transform 'of-test' cannot be inverted, so the model gives no data"):
        clipped.inverse(COUNTS)
    assert clipped.without_log_det == "of-test"
    assert not clipped.inverts
    assert math.isfinite(float(clipped.log_det(COUNTS).sum()))


def test_one_that_refuses_a_shape_is_named(variant):
    def refuses(self, config, shape):
        raise ComponentError("it takes images")

    name = variant(Transform, __init__=refuses, fit=None, forward=None, inverse=None, log_det=None)
    with pytest.raises(ComponentError, match=r"transform 'of-test' refuses shape \(4,\): it takes images"):
        Chain.of([installed().settings("transform", name)()], (4,))
