from genkit.interfaces import INTERFACES, KINDS, Encoder
from genkit.registry.kinds import name_of, why_no_component
from genkit_mlp import MLPEncoder


def test_name_of_a_component_is_the_one_that_configs_give():
    assert name_of(MLPEncoder) == "mlp"


def test_every_kind_has_an_interface_which_is_no_component_itself():
    assert KINDS == ("data", "encoder", "sampler", "prior", "decoder", "likelihood", "loss", "metric", "transform")
    assert [interface.kind for interface in INTERFACES] == list(KINDS)
    assert why_no_component(Encoder) == "Encoder is abstract: it does not implement forward"
    assert why_no_component(MLPEncoder) is None
