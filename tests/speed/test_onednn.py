import copy

import pytest
import torch
from torch import nn
from torch.autograd import forward_ad
from torch.utils._python_dispatch import TorchDispatchMode

from genkit.speed import onednn
from genkit.speed.layout import arrange_memory, like
from genkit.speed.onednn import Linear


def pair(bias=True, inputs=256, outputs=512):
    """A dense layer, and the same one settled."""
    torch.manual_seed(0)
    plain, settled = nn.Linear(inputs, outputs, bias), nn.Sequential(nn.Linear(inputs, outputs, bias))
    arrange_memory(settled, onednn=True)
    assert type(settled[0]) is Linear
    settled[0].load_state_dict(plain.state_dict())
    return plain, settled[0]


def gradients(layer, x):
    x = x.clone().requires_grad_()
    value = layer(x).tanh().square().sum()
    return torch.autograd.grad(value, [x, *layer.parameters()])


@pytest.fixture(autouse=True)
def _eager_as_compiled(monkeypatch):
    """Products of a few rows count as large here."""
    monkeypatch.setattr(onednn, "SMALL_EAGER", onednn.SMALL)


@pytest.fixture
def products():
    """The shapes of the products that oneDNN is given."""
    seen = []

    class Watched(TorchDispatchMode):
        def __torch_dispatch__(self, op, types, args=(), kwargs=None):
            if op._schema.name == "genkit::product":
                seen.append(tuple(args[0].shape))
            return op(*args, **(kwargs or {}))

    with Watched():
        yield seen


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(64, 256), (4, 16, 256)])
def test_large_products_are_those_of_torch_forwards_and_backwards(bias, shape, products):
    plain, settled = pair(bias)
    x = torch.randn(shape)
    torch.testing.assert_close(settled(x), plain(x))
    assert products == [(64, 256)]
    torch.testing.assert_close(gradients(settled, x), gradients(plain, x), rtol=1e-4, atol=1e-4)


def test_gradients_of_gradients_are_those_of_torch():
    plain, settled = pair()
    x = torch.randn(64, 256)

    def penalty(layer):
        rows = x.clone().requires_grad_()
        (slope,) = torch.autograd.grad(layer(rows).tanh().sum(), rows, create_graph=True)
        return torch.autograd.grad(slope.norm(dim=1).sub(1).square().mean(), [rows, *layer.parameters()])

    torch.testing.assert_close(penalty(settled), penalty(plain), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("inputs", "outputs"), [(512, 256), (256, 512)])
def test_no_gradient_is_computed_that_is_not_wanted(inputs, outputs, products):
    plain, settled = pair(inputs=inputs, outputs=outputs)
    x = torch.randn(64, inputs)
    (slope,) = torch.autograd.grad(settled(x).sum(), settled.weight)
    torch.testing.assert_close(slope, torch.autograd.grad(plain(x).sum(), plain.weight)[0], rtol=1e-4, atol=1e-4)
    # none towards the data; that of a weight which is higher than wide is torch's own product
    assert products == [(64, inputs), *([(outputs, 64)] if outputs < inputs else [])]


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch's own
@pytest.mark.parametrize("case", ["small", "double", "transform", "forward mode", "autocast"])
def test_what_onednn_does_not_do_is_left_to_torch(case, products):
    plain, settled = pair()
    x = torch.randn(64, 256)
    if case == "small":
        torch.testing.assert_close(settled(x[:2]), plain(x[:2]), rtol=0, atol=0)
    if case == "double":
        assert torch.equal(settled.double()(x.double()), plain.double()(x.double()))
    if case == "transform":
        torch.testing.assert_close(torch.func.vmap(settled)(x), plain(x))
        assert torch.func.jvp(settled, (x,), (x,))[1].shape == (64, 512)
    if case == "forward mode":
        with forward_ad.dual_level():
            assert forward_ad.unpack_dual(settled(forward_ad.make_dual(x, x))).tangent is not None
    if case == "autocast":
        with torch.autocast("cpu", torch.bfloat16):
            assert settled(x).dtype == torch.bfloat16
    assert products == []


def test_layers_keep_their_names_and_values_and_convolutions_lie_channels_last():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ConvTranspose2d(4, 3, 3), nn.Conv3d(3, 4, 3), nn.Linear(4, 5))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    arrange_memory(model)
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(model[i].weight.is_contiguous(memory_format=torch.channels_last) for i in (0, 1))


def test_values_are_brought_into_the_layout_of_others():
    values, other = torch.randn(3, 4), torch.empty(4, 3).t()
    found = like(values, other)
    assert torch.equal(found, values)
    assert found.stride() == other.stride()
    assert like(values, values) is values


def test_a_replaced_layer_shares_parameters_and_hooks_with_the_one_before():
    model = nn.Sequential(nn.Linear(2, 3), nn.ReLU())
    before, parameters, calls = model[0], list(model.parameters()), []
    before.register_forward_hook(lambda layer, *_: calls.append(layer))
    model.eval()
    arrange_memory(model, onednn=True)
    assert all(one is other for one, other in zip(model.parameters(), parameters, strict=True))
    assert type(before) is nn.Linear
    assert isinstance(model[0], nn.Linear)
    assert not model[0].training
    model[0].bias = nn.Parameter(torch.ones(3))
    assert before.bias is model[0].bias
    x = torch.randn(4, 2)
    assert torch.equal(model[0](x), before(x))
    assert calls == [model[0], before]


def test_a_layer_in_several_places_stays_one_layer():
    shared = nn.Linear(2, 2)
    model = nn.ModuleDict({"one": shared, "other": nn.Sequential(shared, nn.ReLU(), shared)})
    arrange_memory(model, onednn=True)
    assert type(model["one"]) is Linear
    assert model["one"] is model["other"][0] is model["other"][2]


def test_a_copy_of_a_replaced_layer_has_parameters_of_its_own():
    model = nn.Sequential(nn.Linear(2, 2))
    arrange_memory(model, onednn=True)
    other = copy.deepcopy(model)
    with torch.no_grad():
        other[0].weight.zero_()
    assert type(other[0]) is Linear
    assert model[0].weight.abs().sum() > 0


def test_only_plain_dense_layers_are_replaced():
    class Own(nn.Linear):
        pass

    model = nn.Sequential(Own(2, 2), nn.Linear(2, 2))
    arrange_memory(model, onednn=True)
    assert [type(layer) for layer in model] == [Own, Linear]
    untouched = nn.Sequential(nn.Linear(2, 2))
    arrange_memory(untouched, onednn=False)
    assert type(untouched[0]) is nn.Linear


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # torch's own, on tracing
def test_compiled_products_are_those_of_torch():
    plain, settled = pair()
    x = torch.randn(64, 256)

    def both(layer, x):
        value = layer(x).tanh().square().sum()
        return value.detach(), torch.autograd.grad(value, list(layer.parameters()))

    with torch._dynamo.config.patch(trace_autograd_ops=True):
        found = torch.compile(both, fullgraph=True)(settled, x)
    torch.testing.assert_close(found, both(plain, x), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("rows", "given"), [(500, []), (520, [(520, 256)])])
def test_eager_products_are_left_to_torch_up_to_a_larger_size(monkeypatch, products, rows, given):
    monkeypatch.setattr(onednn, "SMALL_EAGER", 2**26)
    _, settled = pair()
    settled(torch.randn(rows, 256))
    assert products == given
