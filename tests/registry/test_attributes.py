import pytest

from genkit.errors import ComponentError
from genkit.interfaces import DataSource, Encoder, Likelihood, Loss, Metric, Sampler
from genkit.registry.attributes import wrong_attribute
from genkit.registry.registry import installed, register
from genkit.testing import checks
from genkit_vae import KL

WRONG = [
    (Metric, {"needs": ("decoder",)}, "'decoder' cannot be named; write a tuple of names, of 'encoder', 'density', "),
    (Metric, {"needs": 3}, "write a tuple of names, of 'encoder'"),
    (Metric, {"in_evaluate": "yes"}, "write True or False"),
    (Loss, {"needs": "encoder"}, r"write a tuple of names, of 'encoder', .*: needs = \('encoder',\)"),
    (Loss, {"needs": ("latent",)}, "'latent' cannot be named; write a tuple of names, of 'encoder', 'kl'"),
    (Loss, {"needs": (("kl",),)}, "cannot be named"),
    (Loss, {"over": "rows"}, "write one of 'datum', 'batch'"),
    (Loss, {"over": ["datum"]}, "write one of 'datum', 'batch'"),
    (Loss, {"reads": "labels"}, r"write a tuple of names: reads = \('labels',\)"),
    (DataSource, {"asks": ("colums",)}, "'colums' cannot be named; write a tuple of names, of 'shape', .*'columns'"),
    (Sampler, {"support": "real"}, "write one of 'reals'"),
    (Likelihood, {"support": "reals"}, "write a tuple of 2 numbers"),
    (Likelihood, {"support": (0.0,)}, "write a tuple of 2 numbers"),
    (Encoder, {"flat": 1}, "write True or False"),
]


@pytest.mark.parametrize(("interface", "members", "said"), WRONG)
def test_values_that_the_interface_does_not_allow_are_named(interface, members, said):
    wrong = wrong_attribute(type("Wrong", (interface,), members), interface)
    (name,) = members
    assert wrong is not None
    assert wrong.startswith(f"Wrong says {name} = {members[name]!r}: ")
    with pytest.raises(ComponentError, match=said):
        raise ComponentError(wrong)


@pytest.mark.parametrize(
    "members",
    [{"needs": ()}, {"needs": ["encoder", "kl"]}, {"needs": property(lambda self: "kl")}, {"over": "batch"}, {}],
)
def test_values_that_it_allows_pass(members):
    assert wrong_attribute(type("Right", (Loss,), members), Loss) is None


def test_every_installed_component_passes():
    for plugin in installed().plugins:
        for component in plugin.components:
            assert wrong_attribute(component, component) is None, component


def test_such_a_class_is_neither_registered_nor_checked():
    wrong = type("Wrong", (KL,), {"needs": "kl"})
    with pytest.raises(ComponentError, match=r"cannot register it: Wrong says needs = 'kl'"):
        register(wrong)
    with pytest.raises(ComponentError, match="Wrong says needs = 'kl'"):
        checks(wrong)
