from genkit.cli.commands.plugins import show_all


def test_plugins_show_what_they_bring_and_what_is_wrong(capsys):
    row = {
        "name": "n",
        "distribution": "d",
        "version": "1",
        "components": ["encoder/e"],
        "events": [],
        "commands": ["c"],
        "problems": ["no"],
        "notes": ["slow"],
    }
    show_all([row])
    lines = ["n  (d 1)", "    components: encoder/e", "    commands: c", "    problems: no", "    notes: slow"]
    assert capsys.readouterr().out.splitlines() == lines
