"""What the project promises, beside what was measured."""


class Promises:
    """Collects every promise that a run has a figure for."""

    def __init__(self):
        self.lines = []

    def at_most(self, point, text, measured, bound, form=".2f"):
        self.lines.append((point, text, f"{measured:{form}}", f"at most {bound:g}", measured <= bound))

    def at_least(self, point, text, measured, bound, form=".2f"):
        self.lines.append((point, text, f"{measured:{form}}", f"at least {bound:g}", measured >= bound))

    def compare(self, point, text, measured, form=".2f"):
        """A figure beside a promise, which bounds nothing."""
        self.lines.append((point, text, f"{measured:{form}}", "for comparison", None))

    def show(self):
        """The table of all of them; whether each is kept."""
        print("### What is promised\n")
        print("| | | measured | wanted | kept |\n| ---: | --- | ---: | --- | --- |")
        words = {True: "yes", False: "**no**", None: ""}
        for point, text, measured, wanted, kept in sorted(self.lines, key=lambda line: line[0]):
            print(f"| {point} | {text} | {measured} | {wanted} | {words[kept]} |")
        print(flush=True)
        return all(kept is not False for *_, kept in self.lines)
