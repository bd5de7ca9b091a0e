"""Which letters a caption file's bytes are. UTF-8 and UTF-16 show themselves; the rest is an assumption, and is said."""
from .errors import Refused

# What editors of each language wrote before UTF-8.
_OF_LANGUAGES = {
    "cp1250": "cs hr hu pl ro sk sl", "cp1251": "be bg mk ru sr uk", "cp1253": "el", "cp1254": "tr", "cp1255": "he",
    "cp1256": "ar fa ur", "cp1257": "et lt lv", "cp1258": "vi", "cp874": "th", "cp932": "ja", "cp949": "ko", "gb18030": "zh",
}
_BY_LANGUAGE = {language: name for name, languages in _OF_LANGUAGES.items() for language in languages.split()}
USUAL = "cp1252"


def decode(data: bytes, language: str, chosen: str = "") -> tuple[str, str]:
    """The text, and the encoding that was assumed, or "" where none had to be.

    - `language`: RFC 5646 tag of the captions, or `und`.
    - `chosen`: the encoding the operator named.

    Errors: `Refused` when the chosen one does not fit.
    """
    if chosen:
        try:
            return data.decode(chosen).removeprefix("\ufeff"), ""
        except UnicodeDecodeError as error:
            raise Refused(f"they are not in {chosen}: byte {error.start} does not fit", "name another one with --captions-encoding") from error
    for mark, name in ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"", "utf-8-sig")):
        if data.startswith(mark):
            try:
                return data.decode(name), ""
            except UnicodeDecodeError:
                continue
    of_language = _BY_LANGUAGE.get(language.partition("-")[0], "")
    for name in (of_language, *([] if language != "und" else [_detected(data)]), USUAL):
        if name:
            try:
                return data.decode(name), name
            except (UnicodeDecodeError, LookupError):
                continue
    return data.decode(USUAL, errors="replace"), USUAL


def _detected(data: bytes) -> str:
    try:
        import charset_normalizer  # Debian: python3-charset-normalizer
    except ImportError:
        return ""
    best = charset_normalizer.from_bytes(data, cp_isolation=[USUAL, *_OF_LANGUAGES]).best()
    return best.encoding if best else ""
