from genkit.pictures.captions import CAPTIONS, caption, place


def test_each_picture_of_a_run_has_a_caption(finished):
    names = {path.stem for path in finished.directory.pictures.iterdir()}
    assert {"samples", "reconstructions", "manifold", "latents", "filters", "loss"} <= names
    assert names <= CAPTIONS.keys()


def test_a_picture_of_another_plugin_has_its_name_and_comes_last():
    assert caption("my_own-picture") == ("My own picture", "")
    assert sorted(["my-own", "loss", "samples"], key=place) == ["samples", "loss", "my-own"]
