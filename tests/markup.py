"""Pages of HTML, read as a browser reads them: tags and texts."""

from html.parser import HTMLParser

ATTACK = "<img src=x onerror=alert(1)>\"'"


class Tags(HTMLParser):
    def __init__(self, text):
        super().__init__()
        self.tags, self.texts, self.titles = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        assert {name for name, _ in attributes} <= {"style", "title"}
        self.titles += [value for name, value in attributes if name == "title"]

    def handle_data(self, data):
        self.texts.append(data)
