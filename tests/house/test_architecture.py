"""The picture is the one that its text describes, and the project's pages name what exists."""

import glob
import re
import subprocess
import unittest
import xml.etree.ElementTree as xml

from machines import REPOSITORY

PAGES = ["architecture", "backup", "moving", "power", "protection", "tunnel"]
FOLDERS = ["backup", "fail2ban", "move", "nftables", "power", "tunnel", "ufw"]


def words(svg):
    """Every title and text of a picture, in order; places and sizes depend on the fonts of the machine that drew it."""
    return [element.text for element in xml.fromstring(svg).iter() if element.tag.split("}")[-1] in ("title", "text")]


class Picture(unittest.TestCase):
    def test_it_is_up_to_date(self):
        drawn = subprocess.run(["dot", "-Tsvg", REPOSITORY / "docs/architecture.dot"], check=True, capture_output=True).stdout
        self.assertEqual(words((REPOSITORY / "docs/architecture.svg").read_bytes()), words(drawn),
                         "print it again: dot -Tsvg docs/architecture.dot -o docs/architecture.svg")


def anchors(page):
    """What links into a page can name: its headings, in lower case, without punctuation, `-` for each space."""
    text = re.sub(r"(?ms)^```.*?^```", "", page.read_text())
    titles = re.findall(r"(?m)^#+ +(.*?) *$", text)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


HANDBOOK = sorted((REPOSITORY / "docs").glob("*.md"))
TEXTS = [*sorted(REPOSITORY.glob("*.md")), *HANDBOOK, *sorted(REPOSITORY.glob("benches/*.md")), *sorted(REPOSITORY.glob("findings/*.md")), *sorted(REPOSITORY.glob(".github/**/*.md"))]


def links(page):
    """The targets of a page's links and pictures; what stands in code is none."""
    text = re.sub(r"(?ms)^ *```.*?^ *```", "", page.read_text())
    return sorted(set(re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`\n]*`", "``", text))))


class Links(unittest.TestCase):
    """In every page of the project, the README among them."""

    def test_each_leads_to_something_in_the_repository(self):
        for page in TEXTS:
            for link in links(page):
                if re.match(r"[a-z]+:", link):
                    continue
                path, _, anchor = link.partition("#")
                target = (page.parent / path).resolve() if path else page
                with self.subTest(page.name, link=link):
                    self.assertTrue(target.exists(), "there is no such file")
                    self.assertTrue(target.is_relative_to(REPOSITORY), "it leads out of the repository")
                    if anchor and target.suffix == ".md":
                        self.assertIn(anchor, anchors(target))

    def test_each_page_is_one_click_from_the_index(self):
        index = REPOSITORY / "docs/README.md"
        linked = {(index.parent / link.partition("#")[0]).resolve() for link in links(index) if not re.match(r"[a-z]+:", link)}
        self.assertEqual([page.name for page in HANDBOOK if page != index and page not in linked], [])

    def test_each_path_that_a_page_names_is_there(self):
        folders = "|".join(sorted(path.name for path in REPOSITORY.iterdir() if path.is_dir() and path.name not in (".git", "target")))
        for page in [*(REPOSITORY / name for name in ("README.md", "CONTRIBUTING.md", "RELEASING.md", "SECURITY.md")), *HANDBOOK]:
            for path in sorted(set(re.findall(rf"(?<![\w/.~$-])(?:{folders})/[\w@./*{{}},-]*[\w/*}}]", page.read_text()))):
                if set(path) & set("*{"):  # a pattern of the shell's
                    self.assertTrue(glob.glob(path.replace("{", "*").partition("*")[0] + "*", root_dir=REPOSITORY), path)
                    continue
                with self.subTest(page.name, path=path):
                    self.assertTrue((REPOSITORY / path).exists())


class Pages(unittest.TestCase):
    def test_every_file_is_named_by_one(self):
        text = "".join((REPOSITORY / f"docs/{page}.md").read_text() for page in PAGES)
        for folder in FOLDERS:
            for path in sorted((REPOSITORY / "packaging" / folder).rglob("*")):
                if path.is_file():
                    with self.subTest(str(path.relative_to(REPOSITORY))):
                        name = path.name if path.parent.suffix != ".d" else path.parent.parent.name
                        self.assertIn(name, text)


if __name__ == "__main__":
    unittest.main()
