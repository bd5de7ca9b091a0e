"""The picture is the one that its text describes, and the house's pages name files that exist."""

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


class Pages(unittest.TestCase):
    def test_every_file_that_they_name_is_there(self):
        for page in PAGES:
            text = (REPOSITORY / f"docs/{page}.md").read_text()
            for path in sorted(set(re.findall(r"(?<![\w/])(?:packaging|tests/house|nginx)/[\w@./-]*[\w/]", text))):
                with self.subTest(page, path=path):
                    self.assertTrue((REPOSITORY / path).exists())
            for link in sorted(set(re.findall(r"\]\(([\w-]+\.(?:md|svg))\)", text))):
                with self.subTest(page, link=link):
                    self.assertTrue((REPOSITORY / "docs" / link).exists())

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
