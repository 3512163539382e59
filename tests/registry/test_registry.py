"""Plugins and components: found, claimed, replaced, and named where they are broken."""

import re
import sys
import warnings
from importlib import metadata
from pathlib import Path
from types import ModuleType
from typing import Annotated, Literal

import pytest
import torch
from pydantic import Field

from genkit import hookimpl, register
from genkit.errors import ComponentError, GenkitWarning
from genkit.interfaces import KINDS, Encoder, Loss
from genkit.registry.hooks import RUN_HOOKS
from genkit.registry.plugin import THIS_PROCESS, Plugin
from genkit.registry.registry import NO_HOOK, NO_METADATA, Registry
from genkit.registry.selection import Selection


def encoder(label):
    class Made(Encoder):
        class Config(Encoder.Config):
            name: Literal[label] = label

        def forward(self, x):
            return x

    return Made


class Term(Loss):
    class Config(Loss.Config):
        name: Literal["term"] = "term"

    def forward(self, forward):
        return forward.log_prob


class Nameless(Encoder):
    def forward(self, x):
        return x


class TwoNames(Nameless):
    class Config(Encoder.Config):
        name: Literal["one", "two"] = "one"


class Unfinished(Encoder):
    class Config(Encoder.Config):
        name: Literal["unfinished"] = "unfinished"


class Foreign(Encoder):
    class Config:
        pass

    def forward(self, x):
        return x


class OtherKind(Nameless):
    kind = "decoder"

    class Config(Encoder.Config):
        name: Literal["other-kind"] = "other-kind"


class BadDefault(Nameless):
    class Config(Encoder.Config):
        name: Literal["bad-default"] = "bad-default"
        width: Annotated[int, Field(ge=1)] = 0


NO_COMPONENTS = [
    (BadDefault, "the default of option 'width' of BadDefault breaks its own rule: Input should be greater than or"),
    (OtherKind, "OtherKind says kind = 'decoder', and derives from Encoder: leave kind as it is"),
    (encoder("a/b c"), "encoder.<locals>.Made has the name 'a/b c': a name is of letters, digits, '-', '_' and '.'"),
    (Nameless, "Nameless.Config names nothing: derive it from the interface's and give it `name: Literal"),
    (TwoNames, "TwoNames.Config names nothing"),
    (Foreign, "Foreign.Config names nothing"),
    (5, "5 is no component"),
    (Unfinished, "Unfinished is abstract: it does not implement forward"),
    (dict, "dict is no component: it derives from none of DataSource, Encoder"),
]


def plugin_module(*components, **hooks):
    module = ModuleType("made_here")
    module.components = hookimpl(lambda: components)
    for name, function in hooks.items():
        setattr(module, name, hookimpl(function))
    return module


def added(registry, name, *components, **hooks):
    return registry.add(plugin_module(*components, **hooks), Plugin(name, f"{name}-dist", "1.0"))


def message_of_find(registry, kind, name):
    with pytest.raises(ComponentError) as caught:
        registry.parts().find(kind, name)
    return str(caught.value)


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Pretend that distributions are installed: installed(name, entry="module") -> their registry, loaded anew."""
    found = []
    monkeypatch.setattr(metadata, "distributions", lambda: list(found))
    monkeypatch.syspath_prepend(tmp_path / "modules")

    def install(distribution, version="1.0", source=None, wanted=None, needs=None, **entries):
        folder = tmp_path / f"{distribution}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n"
            + (f"Requires-Dist: {needs}\n" if needs else "")
        )
        lines = [f"{name} = {module}" for name, module in entries.items()]
        (folder / "entry_points.txt").write_text("\n".join(["[genkit]", *lines, ""]))
        if source is not None:
            (tmp_path / "modules").mkdir(exist_ok=True)
            (tmp_path / "modules" / f"{next(iter(entries.values()))}.py").write_text(source)
        found.append(metadata.Distribution.at(folder))
        registry = Registry(wanted)
        registry.find_installed()
        registry.parts()
        return registry

    return install


@pytest.fixture
def here(monkeypatch):
    """A registry of its own for this process."""
    made = Registry()
    monkeypatch.setattr("genkit.registry.registry.registry", lambda: made)
    return made


def test_first_party_plugins_are_installed_and_whole():
    registry = Registry()
    registry.find_installed()
    registry.parts()
    problems = {plugin.name: plugin.problems for plugin in registry.plugins if plugin.distribution == "genkit-torch"}
    assert problems.items() >= {"data": [], "mlp": [], "tensorboard": [], "vae": []}.items()
    assert all(registry.parts().names(kind) for kind in KINDS)


def test_component_is_found_by_kind_and_name_with_its_owner():
    registry, part = Registry(), encoder("part")
    plugin = added(registry, "acme", part, Term)
    assert registry.parts().find("encoder", "part") is part
    assert registry.parts().find("loss", "term") is Term
    assert registry.parts().owner(part) is plugin
    assert plugin.owner == "acme-dist 1.0"
    assert plugin.components == [part, Term]
    assert plugin.problems == []


def test_names_of_a_kind_are_sorted():
    registry = Registry()
    added(registry, "acme", encoder("b"), encoder("a"), Term)
    assert registry.parts().names("encoder") == ["a", "b"]
    assert registry.parts().names("loss") == ["term"]
    assert registry.parts().names("sampler") == []


def test_same_name_may_serve_several_kinds():
    registry, part = Registry(), encoder("term")
    added(registry, "acme", part, Term)
    assert registry.parts().find("encoder", "term") is part
    assert registry.parts().find("loss", "term") is Term


@pytest.mark.parametrize(
    ("kind", "name", "message"),
    [
        ("encoder", "pert", "unknown encoder 'pert'; did you mean 'part'?"),
        ("encoder", "zzz", "unknown encoder 'zzz'; known: other, part"),
        ("loss", "part", "unknown loss 'part'; none is known"),
    ],
)
def test_unknown_component_suggests_the_nearest_of_its_kind(kind, name, message):
    registry = Registry()
    added(registry, "acme", encoder("part"), encoder("other"))
    assert message_of_find(registry, kind, name) == message


def test_two_claims_are_an_error_that_lists_both():
    registry = Registry()
    added(registry, "acme", encoder("part"), encoder("other"))
    added(registry, "bolt", encoder("part"))
    message = message_of_find(registry, "encoder", "part")
    assert (
        message
        == "encoder 'part' is claimed by acme-dist 1.0 and bolt-dist 1.0; write 'acme-dist/part' or 'bolt-dist/part'"
    )
    assert registry.parts().find("encoder", "other")


@pytest.mark.parametrize(("candidate", "problem"), NO_COMPONENTS, ids=lambda value: getattr(value, "__name__", ""))
def test_plugin_that_brings_no_component_keeps_the_good_ones(candidate, problem):
    registry = Registry()
    plugin = added(registry, "acme", encoder("before"), candidate, encoder("after"))
    assert registry.parts().names("encoder") == ["after", "before"]
    assert len(plugin.problems) == 1
    assert problem in plugin.problems[0]
    assert problem in message_of_find(registry, "encoder", "missing")


def test_plugin_whose_components_hook_fails_is_named_with_the_cause():
    def components():
        raise RuntimeError("no such folder")

    line = components.__code__.co_firstlineno + 1
    registry = Registry()
    plugin = added(registry, "acme", components=components)
    added(registry, "bolt", encoder("part"))
    assert plugin.problems == [f"its registration failed: RuntimeError: no such folder (test_registry.py:{line})"]
    assert registry.parts().find("encoder", "part")
    message = message_of_find(registry, "encoder", "missing")
    assert "plugin 'acme' of acme-dist 1.0 has a problem" in message
    assert "no such folder" in message


def test_a_class_that_is_refused_is_named_where_a_config_asks_for_it():
    wrong = type("Wrong", (Term,), {"over": "rows"})
    registry = Registry()
    added(registry, "acme", wrong)
    said = "loss 'term' of acme-dist 1.0 is refused: Wrong says over = 'rows': write one of 'datum', 'batch'"
    assert message_of_find(registry, "loss", "term") == said
    assert message_of_find(registry, "loss", "acme-dist/term").endswith(said.partition(" of ")[2])
    assert "unknown loss" in message_of_find(registry, "loss", "other-dist/term")


def test_hook_with_an_argument_that_does_not_exist_is_a_problem_of_its_plugin():
    registry = Registry()
    plugin = added(registry, "acme", run_started=lambda run, speed: None)
    assert len(plugin.problems) == 1
    assert "speed" in plugin.problems[0]


def test_events_that_a_plugin_listens_to_are_known():
    registry = Registry()
    plugin = added(registry, "acme", run_ended=lambda run: None, epoch_ended=lambda run, record: None)
    assert plugin.events == ["epoch_ended", "run_ended"]
    assert [name for name, _ in registry.parts().listeners("run_ended")] == ["acme-dist/acme"]
    assert list(registry.parts().listeners("run_started")) == []
    assert added(registry, "bolt").events == []


def test_hooks_are_those_of_the_events_and_of_the_components():
    assert {name for name in vars(Registry().manager.hook) if not name.startswith("_")} == {*RUN_HOOKS, "components"}


@pytest.mark.parametrize("option", ["wrapper", "hookwrapper"])
@pytest.mark.parametrize("hook", ["components", "listener", "epoch_ended"])
def test_a_wrapper_is_refused_with_its_remedy_and_never_called(hook, option):
    registry = Registry()
    module = plugin_module(encoder("part"))
    delattr(module, "components")

    def wrapping():
        raise AssertionError("it is called")
        yield

    setattr(module, hook, hookimpl(wrapping, **{option: True}))
    plugin = registry.add(module, Plugin("acme", "acme-dist", "1.0"))
    assert plugin.problems == [
        f"its hook '{hook}' is a wrapper, which never runs: genkit calls each plugin by itself; write it without "
        f"{option}=True, as a function without a yield"
    ]
    assert plugin.events == []
    assert plugin.components == []
    assert hook == "components" or list(registry.parts().listeners(hook)) == []


def test_a_plugin_with_a_wrapper_keeps_its_other_hooks():
    def wrapping():
        yield

    registry = Registry()
    module = plugin_module(encoder("part"))
    module.epoch_ended, module.run_ended = hookimpl(wrapping, wrapper=True), hookimpl(lambda run: None)
    plugin = registry.add(module, Plugin("acme", "acme-dist", "1.0"))
    assert plugin.events == ["run_ended"]
    assert registry.parts().find("encoder", "part")
    assert len(plugin.problems) == 1


def test_a_hook_that_only_another_genkit_has_may_be_marked_as_optional():
    registry = Registry()
    module = plugin_module(encoder("part"))
    module.run_paused = hookimpl(lambda run: None, optionalhook=True)
    assert registry.add(module, Plugin("acme", "acme-dist", "1.0")).problems == []
    module = plugin_module(encoder("other"))
    module.run_paused = hookimpl(lambda run: None)
    (problem,) = registry.add(module, Plugin("bolt", "bolt-dist", "1.0")).problems
    assert problem.startswith("there is no hook 'run_paused'")


def test_a_hook_may_have_another_name_than_its_specification():
    module = ModuleType("named")
    module.bring = hookimpl(lambda: [Term], specname="components")
    module.note = hookimpl(lambda run: None, specname="run_ended")
    module.wrong = hookimpl(lambda run: None, specname="run_over")
    registry = Registry()
    plugin = registry.add(module, Plugin("named", "acme", "1.0"))
    assert registry.parts().find("loss", "term") is Term
    assert plugin.events == ["run_ended"]
    (problem,) = plugin.problems
    assert problem.startswith("there is no hook 'run_over'; did you mean")


def test_object_with_hooks_is_as_good_as_a_module():
    class Hooks:
        @hookimpl
        def components(self):
            return [Term]

    registry = Registry()
    registry.add(Hooks(), Plugin("hooks", "acme", "1.0"))
    assert registry.parts().find("loss", "term") is Term


def test_installed_plugins_are_loaded_in_an_order_that_does_not_change(installed, monkeypatch):
    for module, part in (("acme_one", "one"), ("acme_two", "two"), ("bolt_one", "three")):
        monkeypatch.setitem(sys.modules, module, plugin_module(encoder(part)))
    installed("bolt", "2.1", x="bolt_one")
    registry = installed("acme", b="acme_two", a="acme_one")
    assert [(plugin.owner, plugin.name) for plugin in registry.plugins] == [
        ("acme 1.0", "a"),
        ("acme 1.0", "b"),
        ("bolt 2.1", "x"),
    ]
    assert registry.parts().names("encoder") == ["one", "three", "two"]


def test_two_distributions_may_use_the_same_name_for_their_plugins(installed, monkeypatch):
    monkeypatch.setitem(sys.modules, "acme_one", plugin_module(encoder("one")))
    monkeypatch.setitem(sys.modules, "bolt_one", plugin_module(encoder("two")))
    installed("acme", plugin="acme_one")
    assert installed("bolt", plugin="bolt_one").parts().names("encoder") == ["one", "two"]


@pytest.mark.parametrize(
    ("source", "cause"),
    [
        ("raise RuntimeError('needs a GPU')", "RuntimeError: needs a GPU"),
        ("import acme_needs_this", "ModuleNotFoundError: No module named 'acme_needs_this'"),
        ("def broken(:", "SyntaxError: "),
        (None, "ModuleNotFoundError: No module named 'acme_broken'"),
    ],
)
def test_plugin_that_cannot_be_imported_is_kept_with_its_cause(installed, monkeypatch, source, cause):
    monkeypatch.setitem(sys.modules, "bolt_good", plugin_module(encoder("good")))
    installed("bolt", good="bolt_good")
    registry = installed("acme", "0.3", source, broken="acme_broken")
    assert registry.parts().find("encoder", "good")
    broken = next(plugin for plugin in registry.plugins if plugin.name == "broken")
    assert broken.owner == "acme 0.3"
    assert broken.components == []
    assert broken.problems[0].startswith(f"its import failed: {cause}")
    message = message_of_find(registry, "encoder", "godo")
    assert message.startswith(
        "unknown encoder 'godo'; did you mean 'good'? (plugin 'broken' of acme 0.3 has a problem: "
    )
    assert cause in message


def test_registered_class_can_be_found_and_is_returned(here):
    part = encoder("part")
    assert register(part) is part
    assert here.parts().find("encoder", "part") is part
    assert here.parts().owner(part).distribution == THIS_PROCESS


def test_registering_again_replaces_the_own_earlier_class(here):
    first, second = encoder("part"), encoder("part")
    for part in (first, encoder("other"), second):
        register(part)
    assert here.parts().find("encoder", "part") is second
    assert here.parts().names("encoder") == ["other", "part"]
    assert len(here.plugins) == 2


def test_name_of_an_installed_component_cannot_be_taken(here):
    part = encoder("part")
    added(here, "acme", part)
    with pytest.raises(ComponentError) as caught:
        register(encoder("part"))
    assert str(caught.value) == "cannot register encoder 'part': acme-dist 1.0 has that name; choose another"
    assert here.parts().find("encoder", "part") is part
    assert len(here.plugins) == 1


@pytest.mark.parametrize(("candidate", "problem"), NO_COMPONENTS, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_no_component_cannot_be_registered(here, candidate, problem):
    with pytest.raises(ComponentError) as caught:
        register(candidate)
    assert str(caught.value).startswith(f"cannot register it: {problem}")
    assert here.plugins == []


def test_a_misspelt_hook_is_a_problem_of_its_plugin():
    registry = Registry()
    plugin = registry.add(plugin_module(encoder("good"), epoch_end=hookimpl(lambda: None)), Plugin("mine", "acme", "1"))
    assert plugin.problems == ["there is no hook 'epoch_end'; did you mean 'epoch_ended'?"]
    assert registry.parts().find("encoder", "good")


def test_the_same_distribution_twice_on_the_path_counts_once(installed, monkeypatch):
    monkeypatch.setitem(sys.modules, "bolt_good", plugin_module(encoder("good")))
    installed("bolt", good="bolt_good")
    twice = [*metadata.distributions()] * 2
    monkeypatch.setattr(metadata, "distributions", lambda: twice)
    registry = Registry()
    registry.find_installed()
    registry.parts()
    assert [(plugin.name, plugin.problems) for plugin in registry.plugins] == [("good", [])]


def test_a_qualified_name_settles_whose_component_is_meant_and_is_kept_in_the_config(here):
    first, second = encoder("part"), encoder("part")
    added(here, "acme", first)
    plugin = added(here, "bolt", second)
    assert here.parts().find("encoder", "acme-dist/part") is first
    assert here.parts().find("encoder", "Bolt_Dist/part") is second
    settings = here.parts().settings("encoder", "bolt-dist/part")
    made = settings.model_validate({"name": "bolt-dist/part"})
    assert isinstance(made, second.Config)
    assert settings.model_validate(made.model_dump()) == made
    assert here.parts().settings("encoder", "bolt-dist/part") is settings
    assert plugin.notes == ["encoder 'part' is also of acme-dist 1.0; to be unambiguous, write 'bolt-dist/part'"]
    assert "unknown encoder 'other-dist/part'" in message_of_find(here, "encoder", "other-dist/part")


def test_a_name_of_genkit_itself_is_not_taken_over():
    registry = Registry()
    own, other = encoder("part"), encoder("part")
    added(registry, "acme", other)
    registry.add(plugin_module(own), Plugin("first", "genkit-torch", "1.0"))
    assert registry.parts().find("encoder", "part") is own
    assert registry.parts().find("encoder", "acme-dist/part") is other
    assert "also of genkit-torch 1.0" in registry.plugins[0].notes[0]


@pytest.mark.parametrize(
    ("needs", "fits"),
    [
        ("genkit-torch>=99", False),
        ("Genkit_Torch<0.0.1", False),
        ("genkit-torch>=0.0.1", True),
        ("genkit-torch>=99; extra == 'dev'", True),
        ("torch>=2; python_version < '3'", True),
        ("not a requirement !", True),
    ],
)
def test_a_plugin_made_for_another_genkit_is_not_imported(installed, needs, fits):
    registry = installed("acme", needs=needs, source="raise RuntimeError('imported')", plugin="acme_misfit")
    (plugin,) = registry.plugins
    (problem,) = plugin.problems
    assert problem.startswith("its import failed" if fits else "it needs genkit-torch")
    assert fits or "pip install --upgrade acme genkit-torch" in problem


def test_what_is_not_wanted_is_never_imported_until_it_is(installed):
    none = Selection.of("none", "GENKIT_PLUGINS")
    registry = installed("acme", wanted=none, source="raise RuntimeError('imported')", plugin="acme_unwanted")
    assert [plugin.problems for plugin in registry.plugins] == [[]]
    assert "acme_unwanted" not in sys.modules
    message = message_of_find(registry, "encoder", "part")
    assert message.endswith("(left out by GENKIT_PLUGINS=none: acme 1.0; allow there what brings it)")
    registry.wanted = Selection()
    registry.parts()
    assert [plugin.problems for plugin in registry.plugins] == [
        ["its import failed: RuntimeError: imported (acme_unwanted.py:1)"]
    ]


def test_what_a_config_does_not_want_is_neither_found_nor_told_of_runs():
    registry, heard = Registry(), []
    added(registry, "acme", encoder("part"), epoch_ended=lambda: heard.append("acme"))
    added(registry, "bolt", encoder("other"), epoch_ended=lambda: heard.append("bolt"))
    view = registry.parts(["-acme-dist"])
    assert view.names("encoder") == ["other"]
    with pytest.raises(ComponentError, match=r"\(left out by plugins=-acme-dist: acme-dist 1\.0; "):
        view.find("encoder", "part")
    for _, implementation in view.listeners("epoch_ended"):
        implementation.function()
    assert heard == ["bolt"]


def test_an_import_that_takes_long_is_noted(installed, monkeypatch):
    monkeypatch.setattr("genkit.registry.registry.SLOW", 0.05)
    registry = installed("acme", source="import time; time.sleep(0.1)", plugin="acme_sleeps")
    assert re.fullmatch(r"took 0\.\d s to import", registry.plugins[0].notes[0])


def test_a_plugin_that_does_nothing_says_so():
    found = Registry()
    plugin = found.add(ModuleType("empty"), Plugin("empty", "genkit-empty", "1"))
    assert plugin.problems == [NO_HOOK]
    follows = ModuleType("follows")
    follows.run_ended = hookimpl(lambda run: None)
    assert found.add(follows, Plugin("follows", "genkit-follows", "1")).problems == []


def test_names_in_a_choice_that_nobody_has_are_pointed_out():
    found = Registry()
    found.find_installed()
    with pytest.warns(
        GenkitWarning, match=r"plugins=-genkit-torhc: no plugin 'genkit-torhc' is installed; did you mean"
    ):
        found.warn_of_unknown(Selection.of("-genkit-torhc", "plugins"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found.warn_of_unknown(Selection.of("Genkit_Torch,genkit-torch/mlp", "plugins"))
        found.warn_of_unknown(Selection.of("-acme", "plugins"))


class SilentError(Exception):
    def __str__(self):
        raise RuntimeError("not even this")


@pytest.mark.parametrize(
    "error", [SystemExit(3), GeneratorExit("x"), SilentError()], ids=lambda error: type(error).__name__
)
def test_whatever_a_hook_raises_is_a_problem_of_its_plugin(error):
    def components():
        raise error

    found = Registry()
    plugin = added(found, "acme", components=components)
    assert plugin.problems[0].startswith(f"its registration failed: {type(error).__name__}: ")


def test_ctrl_c_is_nobodys_problem():
    def components():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        added(Registry(), "acme", components=components)


def test_damaged_metadata_break_nothing(tmp_path, monkeypatch):
    for name, entry_points in (
        ("binary", b"[x]\n\xff = a"),
        ("lines", b"[x]\nno equals sign"),
        ("nameless", b"[genkit]\nlost = lost"),
    ):
        folder = tmp_path / f"{name}-1.dist-info"
        folder.mkdir()
        (folder / "entry_points.txt").write_bytes(entry_points)
    monkeypatch.syspath_prepend(str(tmp_path))
    found = Registry()
    found.find_installed()
    found.parts()
    assert found.parts().find("encoder", "mlp")
    (lost,) = [plugin for plugin in found.plugins if plugin.name == "lost"]
    assert lost.problems == [NO_METADATA]


def test_a_class_that_is_listed_twice_counts_once():
    registry, part = Registry(), encoder("part")
    plugin = added(registry, "acme", part, part)
    assert registry.parts().find("encoder", "part") is part
    assert plugin.components == [part]
    assert plugin.notes == [f"{part.__qualname__} is listed twice"]


def test_what_is_left_out_is_told_in_a_line_a_choice():
    registry = Registry(Selection.of("none", "GENKIT_PLUGINS"))
    for name in ("one", "two"):
        registry.plugins.append(Plugin(name, "acme", "1.0"))
    registry.plugins.append(Plugin("three", "bolt", "2.0"))
    message = message_of_find(registry, "encoder", "part")
    assert message.endswith("(left out by GENKIT_PLUGINS=none: acme 1.0, bolt 2.0; allow there what brings it)")


def test_what_a_plugin_prints_and_changes_at_import_is_contained(installed, capsys, tmp_path):
    source = f"import os, torch\nprint('hello')\nos.chdir({str(tmp_path)!r})\ntorch.set_default_dtype(torch.float64)\n"
    before = Path.cwd()
    registry = installed("acme", source=source, plugin="acme_loud")
    assert capsys.readouterr() == ("", "hello\n")
    assert Path.cwd() == before
    assert torch.get_default_dtype() == torch.float32
    assert registry.plugins[0].notes == [
        "changed the working directory; it was put back",
        "set torch's default type to torch.float64; it was put back",
    ]


def test_an_entry_point_of_a_module_that_is_not_there_says_where_to_mend_it(installed):
    assert installed("acme", plugin="acme_nowhere").plugins[0].problems == [
        "its import failed: ModuleNotFoundError: No module named 'acme_nowhere'; mend plugin = 'acme_nowhere' under "
        "[project.entry-points.genkit] in its pyproject.toml, and install it again"
    ]


def test_an_entry_point_of_a_name_that_is_not_there_says_where_to_mend_it(installed):
    (problem,) = installed("acme", plugin="json:lost").plugins[0].problems
    assert problem.endswith(
        "json:lost' under [project.entry-points.genkit] in its pyproject.toml, and install it again"
    )


@pytest.mark.parametrize("brought", [None, Nameless])
def test_what_is_no_list_of_classes_is_said(brought):
    problems = added(Registry(), "acme", components=lambda: brought).problems
    assert problems == [f"components() gives {brought!r}, and must give a list of classes, as [MyEncoder]"]


def test_another_module_that_is_not_there_is_no_fault_of_the_entry_point(installed):
    (problem,) = installed("acme", source="import acme_wi", plugin="acme_wide").plugins[0].problems
    assert problem == "its import failed: ModuleNotFoundError: No module named 'acme_wi' (acme_wide.py:1)"


@pytest.mark.parametrize("source", ["from genkit.processes import normal", "from genkit import no_such_name"])
def test_what_has_moved_in_genkit_says_where_names_for_plugins_are(source, installed):
    (problem,) = installed("acme", source=source, plugin="acme_old").plugins[0].problems
    assert problem.endswith(
        "(acme_old.py:1); what plugins import is in genkit, genkit.interfaces and genkit.testing, other modules may "
        "have moved"
    )
