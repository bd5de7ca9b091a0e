"""What people read: no word that the project gave up (words.txt), and short sentences."""

import pathlib
import re
import unittest

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
PAGES = [*(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "RELEASING.md", "SECURITY.md")), *sorted((REPOSITORY / "docs").glob("*.md"))]
"""Documentation. CHANGELOG.md is a record of what was said at the time."""

COMMANDS = sorted((REPOSITORY / "tests/cli").glob("*.trycmd"))
"""What the commands print, help and errors included."""

STILL = {"who(?:m|so)?ever", "worthless", "is no (?:place|json|number|token|hash|duration|valid)", "of one's own",
         "tells?", "(?:is|are|was|were|be|been) told", "beside"}
"""Expressions that commands still use. Only ever made smaller."""

MOST_WORDS = 20
"""In a sentence, on average over a page."""

ENDS = re.compile(r"(?<=[.!?:;])[\"')*_`]*\s+(?=[\"'(*_`\[]*[A-Z0-9`])|\n\s*\n")
"""Where a sentence ends. A colon or semicolon ends one where a new clause with a capital follows."""


def given_up():
    """Each line of words.txt: the expression as it was written, compiled, and what to write instead."""
    for line in (REPOSITORY / "tests/packaging/words.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            word, _, instead = line.partition("\t")
            yield word, re.compile(rf"(?<![\w-])(?:{word})(?![\w-])", re.IGNORECASE), instead


def prose(text):
    """A page's words: no code block, no table of examples, no address, no mark-up. Tables and headings stay."""
    text = re.sub(r"(?ms)^ *```.*?^ *```", "\n\n", text)
    text = re.sub(r"(?s)<!-- words: examples -->.*?<!-- words: end -->", "\n\n", text)
    text = re.sub(r"(?s)<!--.*?-->", "", text)
    return re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", text)


def sentences(text):
    """Of running text and lists; headings and tables have none. Code within a line counts as one word."""
    text = re.sub(r"(?m)^(#.*|\s*\|.*)$", "\n", prose(text))
    text = re.sub(r"(?m)^\s*(?:[-*]|\d+\.)\s+", "\n\n", text)
    text = re.sub(r"`[^`]*`", "`code`", text)
    found = [len(re.findall(r"[\w`][\w'’`.-]*", sentence)) for sentence in ENDS.split(text)]
    return [words for words in found if words > 1]


class Words(unittest.TestCase):
    def test_the_list_is_one(self):
        found = list(given_up())
        self.assertGreater(len(found), 10)
        self.assertEqual([word for word, _, instead in found if not instead], [])
        self.assertLessEqual(STILL, {word for word, _, _ in found})

    def test_none_that_was_given_up_is_left(self):
        wrong = []
        for page in [*PAGES, *COMMANDS]:
            text = prose(page.read_text()) if page.suffix == ".md" else page.read_text()
            text = re.sub(r"\s+", " ", text)
            for word, pattern, instead in given_up():
                for match in pattern.finditer(text) if page in PAGES or word not in STILL else ():
                    around = text[max(0, match.start() - 40):match.end() + 30]
                    wrong.append(f"{page.relative_to(REPOSITORY)}: …{around}… ({match[0]!r}: write {instead})")
        self.assertEqual(wrong, [], "\n".join(wrong))

    def test_the_examples_of_the_rule_are_caught_where_they_are_words(self):
        """The list would not notice if its expressions matched nothing."""
        bad = "Lest it is lost, whoever has it is told. It is no JSON, and makes a token worthless."
        self.assertEqual([match[0].lower() for _, pattern, _ in given_up() for match in pattern.finditer(bad)],
                         ["lest", "whoever", "is no json", "worthless", "is told"])
        self.assertEqual([match[0] for _, pattern, _ in given_up() for match in pattern.finditer("Besides, celestial intellects blest us.")], [])


class Sentences(unittest.TestCase):
    def test_they_are_counted(self):
        self.assertEqual(sentences("# Title\n\nOne two three. Four `a b c` five.\n\n- six seven\n- eight nine ten\n\n| a | b |\n"), [3, 3, 2, 3])

    def test_they_are_short_on_average(self):
        for page in PAGES:
            with self.subTest(page.name):
                counts = sentences(page.read_text())
                average = sum(counts) / len(counts)
                self.assertLessEqual(round(average, 1), MOST_WORDS, f"{len(counts)} sentences, the longest of {max(counts)} words")
