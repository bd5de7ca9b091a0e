"""Language tags: containers speak ISO 639-2 (`ger`), HLS and HTML speak RFC 5646 (`de`)."""
import re

# code (ISO 639-1): its ISO 639-2 codes, and its name as its speakers write it, for a player's menu
_LANGUAGES = {
    "ar": ("ara", "العربية"), "bg": ("bul", "Български"), "cs": ("cze ces", "Čeština"), "da": ("dan", "Dansk"),
    "de": ("ger deu", "Deutsch"), "el": ("gre ell", "Ελληνικά"), "en": ("eng", "English"), "es": ("spa", "Español"),
    "et": ("est", "Eesti"), "fa": ("per fas", "فارسی"), "fi": ("fin", "Suomi"), "fr": ("fre fra", "Français"),
    "he": ("heb", "עברית"), "hi": ("hin", "हिन्दी"), "hr": ("hrv", "Hrvatski"), "hu": ("hun", "Magyar"),
    "id": ("ind", "Bahasa Indonesia"), "it": ("ita", "Italiano"), "ja": ("jpn", "日本語"), "ko": ("kor", "한국어"),
    "lt": ("lit", "Lietuvių"), "lv": ("lav", "Latviešu"), "nl": ("dut nld", "Nederlands"),
    "no": ("nor nob", "Norsk"), "pl": ("pol", "Polski"), "pt": ("por", "Português"), "ro": ("rum ron", "Română"),
    "ru": ("rus", "Русский"), "sk": ("slo slk", "Slovenčina"), "sl": ("slv", "Slovenščina"), "sr": ("srp", "Српски"),
    "sv": ("swe", "Svenska"), "th": ("tha", "ไทย"), "tr": ("tur", "Türkçe"), "uk": ("ukr", "Українська"),
    "vi": ("vie", "Tiếng Việt"), "zh": ("chi zho", "中文"),
}
_SHORT = {long: short for short, (longs, _) in _LANGUAGES.items() for long in longs.split()}
_TAG = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*\Z")
UNDETERMINED = "und"


def is_tag(text: str) -> bool:
    """Whether `text` can be a language tag: `en`, `ger`, `pt-BR`."""
    return _TAG.match(text) is not None


def tag(text: str | None) -> str:
    """The RFC 5646 tag for a container's or a file name's language; `und` where it says nothing usable."""
    if not text or not is_tag(text):
        return UNDETERMINED
    first, *rest = text.split("-")
    first = first.lower()
    return "-".join([_SHORT.get(first, first), *rest])


def label(language: str, undetermined: str) -> str:
    """What a player's menu shows for a tag."""
    if language == UNDETERMINED:
        return undetermined
    name = _LANGUAGES.get(language.split("-")[0])
    if name is None:
        return language
    return name[1] if "-" not in language else f"{name[1]} ({language})"
