"""Which plugins in one file run: those that the user hands over, and those that the user has run before."""

from __future__ import annotations

import contextlib
import re
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from genkit.errors import ComponentError, ConfigError, GenkitWarning
from genkit.parallel import group
from genkit.registry import trust
from genkit.registry.files import Code, read
from genkit.registry.selection import CODE_NAME, CODE_WORD, LONGEST, VARIABLE, names_file, words_of
from genkit.text import printable


class Files:
    """The plugins in one file that this process knows, by their words."""

    def __init__(self) -> None:
        self.codes: dict[str, Code] = {}
        self.of_environment: Sequence[str] = ()
        """The words of the files in the environment's choice: each stands for any content of its name."""
        self._messages: dict[str, str] = {}
        """What is said of the files that were handed over and have not run since, by their words."""
        self.begun: set[str] = set()
        """The words of the files whose code runs now."""

    def handed_over(self, wanted: str | Iterable[str], folder: Path, source: str) -> str | list[str]:
        """A choice with each path replaced by the word of its content, whose code is trusted once it has run.

        Args:
            wanted: a choice that the user hands over.
            folder: where relative paths begin.
            source: where the choice stands, for messages.

        Raises:
            ConfigError: a file cannot be read, or the environment names another one of its name.
            ComponentError: two files have one name.
        """
        words = words_of(wanted)
        if not any(map(names_file, words)):
            return wanted if isinstance(wanted, str) else words
        for position, word in enumerate(words):
            if CODE_WORD.fullmatch(word):
                self._resolved(word)
            elif names_file(word):
                code = read(word, folder)
                if (other := self._by_name.get(code.name, code.word)) != code.word:
                    raise ConfigError(f"{word}: {_other(code, self.codes[other])}")
                self._messages[code.word] = (
                    f"{source}: {printable(word)} is code that runs (sha256 {code.sha256[:12]}…)"
                )
                self.codes[code.word] = code
                words[position] = code.word
        self._check_names(words, f"{source}: ")
        return words

    @contextlib.contextmanager
    def running(self, code: Code) -> Iterator[None]:
        """Code that has run when the block ends, and is trusted from then on where the user has just handed it over.

        Warns (GenkitWarning) before that it is code that runs. Each machine of a group notes that it is trusted.
        """
        if code.word in self._messages and group.is_leader():
            warnings.warn(self._messages[code.word], GenkitWarning, stacklevel=3)
        self.begun.add(code.word)
        try:
            yield
        finally:
            self.begun.discard(code.word)
        if self._messages.pop(code.word, None) is not None and group.local_rank() == 0:
            trust.remember(code)

    @property
    def _by_name(self) -> dict[str, str]:
        """The words of the environment's files by the names of the files."""
        return {self.codes[word].name: word for word in self.of_environment if word in self.codes}

    def resolved(self, wanted: str | Iterable[str]) -> str | list[str]:
        """A choice with the word of a content for each file whose code may run; no path in it is opened.

        Args:
            wanted: the choice, which may be anybody's.

        Raises:
            ComponentError: two files have one name.
        """
        words = words_of(wanted)
        if not any(map(names_file, words)):
            return wanted if isinstance(wanted, str) else words
        words = [self._resolved(word) if names_file(word) else word for word in words]
        self._check_names(words)
        return words

    def _check_names(self, words: Iterable[str], start: str = "") -> None:
        names = Counter(self.codes[word].name for word in dict.fromkeys(words) if word in self.codes)
        if twice := [name for name, count in names.items() if count > 1]:
            raise ComponentError(f"{start}two files are called {twice[0]}: give one of them another name")

    def sources(self, wanted: str | Iterable[str]) -> dict[str, str]:
        """The text of the files that a choice names by their content, by their names."""
        codes = [self.codes[word] for word in words_of(wanted) if word in self.codes]
        return {code.name: code.source.decode("utf-8") for code in codes}

    def _resolved(self, word: str) -> str:
        match = CODE_WORD.fullmatch(word)
        name = match[1] if match else _file_name(word)
        if name in self._by_name:
            return self._by_name[name]
        if match and word not in self.codes and (code := trust.recall(*match.groups())) is not None:
            self.codes[word] = code
        return word

    def unavailable(self, files: Iterable[str]) -> list[str]:
        """Why the code of some of these words does not run, a message for each."""
        words = [word for word in dict.fromkeys(files) if word not in self.codes]
        return [
            f"./{match[1]} {untrusted(*match.groups())}"
            if (match := CODE_WORD.fullmatch(word))
            else f"{printable(word, LONGEST)} {untrusted(_file_name(word), None)}"
            for word in words
        ]


def _other(code: Code, of_environment: Code) -> str:
    if code.path == of_environment.path:
        return f"has changed since this process read it for {VARIABLE}; start a new one"
    return f"{VARIABLE} names another file that is called {code.name}; name one of them"


def _file_name(path: str) -> str:
    return re.split(r"[/\\]", path)[-1]


def absent(name: str, sha256: str | None) -> str:
    """Why parts of a file that a model needs are not here, for messages that begin with its name."""
    if sha256 is None or trust.recall(name, sha256) is None:
        return untrusted(name, sha256)
    return f"(sha256 {sha256[:12]}…) is named neither by the config nor now by {VARIABLE}: {VARIABLE}=all,PATH/{name}"


def untrusted(name: str, sha256: str | None) -> str:
    """Why code that a run or a model file names is not run, and what runs it, for messages that begin with its name."""
    if not re.fullmatch(CODE_NAME, name):
        name = "FILE.py"
    if sha256 is None:
        what = "is a path to code, and no path that a run or a model names is opened"
    else:
        what = f"(sha256 {sha256[:12]}…) is code that you have not run here"
    return f"{what}; read the file, and if you trust it, name it: {VARIABLE}=all,PATH/{name}"
