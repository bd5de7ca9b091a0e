"""report.py MODULE…: runs these unittest modules of this folder and ends with one line, `N passed, N failed`.

Skips are told with their reason, never silently. Exit 1 if anything failed, or if nothing ran.
"""

import pathlib
import sys
import unittest


class Result(unittest.TextTestResult):
    passed = 0

    def addSuccess(self, test):
        super().addSuccess(test)
        self.passed += 1


def main(names):
    sys.path.insert(0, str(pathlib.Path(__file__).parent))
    result = unittest.TextTestRunner(verbosity=2, resultclass=Result).run(unittest.defaultTestLoader.loadTestsFromNames(names))
    failed = {test_case(test) for test, _ in result.failures + result.errors} | {test_case(test) for test in result.unexpectedSuccesses}
    for test, reason in result.skipped:
        print(f"skipped: {test}: {reason}")
    print(f"{result.passed} passed, {len(failed)} failed" + (f", {len(result.skipped)} skipped" if result.skipped else ""))
    return 0 if result.wasSuccessful() and result.passed else 1


def test_case(test):
    """The test that a failed part belongs to: several subtests of one count once."""
    return getattr(test, "test_case", test).id()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
