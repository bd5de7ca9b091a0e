#!/usr/bin/env python3
"""Writes token.json: one vector for each way in which a token can be right or wrong.

The tokens are made here, by Python's own hmac and base64, and not by the code that they test.
Run it in this folder after a change: ./make_tokens.py > token.json
"""

import base64
import hashlib
import hmac
import json

NOW = 1785003600
KEYS = {
    "k2": bytes(range(32, 64)),  # signs
    "k1": bytes(range(0, 32)),  # verifies
    "old": bytes(range(64, 96)),  # retired
}
CLAIMS = {"sub": "vid1", "tier": "24h", "iat": NOW - 3600, "exp": NOW + 3600, "jti": "HMprBnL9BTXWuPvpoKBS6e"}
vectors = []


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def compact(value):
    return value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()


def token(claims=None, header=None, kid="k1", key=None, digest=hashlib.sha256, **changes):
    """A signed token: `claims` and `header` as objects or raw bytes; `changes` of None leave a claim out."""
    if claims is None:
        claims = {name: value for name, value in {**CLAIMS, **changes}.items() if value is not None}
    header = {"alg": "HS256", "kid": kid} if header is None else header
    text = b64(compact(header)) + "." + b64(compact(claims))
    tag = hmac.new(key or KEYS.get(kid, KEYS["k1"]), text.encode(), digest).digest()
    return text + "." + b64(tag)


def vector(name, text, expect, *flags, **more):
    text = {"token": text} if isinstance(text, str) else {"token_hex": text.hex()}
    vectors.append({"name": name, "flags": list(flags), **text, "video": "vid1", "now": NOW, "expect": expect, **more})


def flip(text, part, byte, bit):
    """One bit of one part's decoded bytes the other way round."""
    parts = text.split(".")
    data = bytearray(base64.urlsafe_b64decode(parts[part] + "=" * (-len(parts[part]) % 4)))
    data[byte] ^= 1 << bit
    parts[part] = b64(bytes(data))
    return ".".join(parts)


def noncanonical(text):
    """The same bytes in other letters: the unused bits of the last one set."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return text[:-1] + alphabet[alphabet.index(text[-1]) | 1]


good = token()
header, payload, tag = good.split(".")

# What opens.
vector("good", good, "granted", "valid")
vector("by_the_signing_key", token(kid="k2"), "granted", "valid")
vector("typ_jwt", token(header={"typ": "JWT", "alg": "HS256", "kid": "k1"}), "granted", "valid")
vector("spaces_in_the_json", token(claims=json.dumps(CLAIMS, indent=2).encode()), "granted", "valid")
vector("unknown_claims", token(iss="me", aud=["a", {"b": 1}]), "granted", "valid")
vector("unknown_header_member", token(header={"alg": "HS256", "kid": "k1", "cty": "x"}), "granted", "valid")
vector("never_expires", token(exp=None), "granted", "valid")
vector("every_video", token(sub="*"), "granted", "valid")
vector("pass_that_holds_it", token(sub="pass:both"), "granted", "valid")
vector("pass_of_all", token(sub="pass:all"), "granted", "valid")
vector("deeply_nested_unknown_claim", token(claims=compact(CLAIMS)[:-1] + b',"x":' + b"[" * 500 + b"]" * 500 + b"}"), "granted", "valid")
vector("escaped_sub", token(claims=compact(CLAIMS).replace(b"vid1", b"v\\u0069d1")), "granted", "valid")
vector("the_last_good_second", token(exp=NOW + 1), "granted", "valid", "boundary")
vector("nbf_now", token(nbf=NOW), "granted", "valid", "boundary")
vector("exp_at_2_53_minus_1", token(exp=2**53 - 1), "granted", "valid", "boundary")
vector("other_video_asked_for_by_its_own_token", token(sub="vid10"), "granted", "valid", video="vid10")

# Times.
vector("at_exp", token(exp=NOW), "expired", "boundary")
vector("after_exp", token(exp=NOW - 1), "expired", "boundary")
vector("long_expired", token(exp=1), "expired")
vector("exp_zero", token(exp=0), "expired", "boundary")
vector("nbf_in_a_second", token(nbf=NOW + 1), "expired", "boundary")
vector("within_leeway", token(exp=NOW), "granted", "boundary", "leeway", leeway=1)
vector("past_leeway", token(exp=NOW - 1), "expired", "boundary", "leeway", leeway=1)
vector("nbf_within_leeway", token(nbf=NOW + 1), "granted", "boundary", "leeway", leeway=1)
vector("within_grace_for_media", token(exp=NOW - 9), "granted", "boundary", "grace", grace=10, kind="media")
vector("past_grace_for_media", token(exp=NOW - 10), "expired", "boundary", "grace", grace=10, kind="media")
vector("no_grace_for_playlists", token(exp=NOW), "expired", "grace", grace=10, kind="playlist")
vector("no_grace_for_another_video", token(exp=NOW - 9, sub="vid10"), "other-video", "grace", grace=10, kind="media")
for name, raw in [
    ("exp_float", b"1785007200.5"),
    ("exp_whole_float", b"1785007200.0"),
    ("exp_exponent", b"2e9"),
    ("exp_string", b'"1785007200"'),
    ("exp_negative", b"-1"),
    ("exp_null", b"null"),
    ("exp_true", b"true"),
    ("exp_array", b"[1785007200]"),
    ("exp_2_53", str(2**53).encode()),
    ("exp_2_64", str(2**64).encode()),
    ("exp_a_thousand_digits", b"9" * 1000),
    ("exp_leading_zero", b"01785007200"),
    ("exp_plus", b"+1785007200"),
    ("exp_minus_zero", b"-0"),
    ("exp_nan", b"NaN"),
    ("exp_in_hex", b"0x6a6500e0"),
    ("exp_object", b"{}"),
]:
    vector(name, token(claims=compact(CLAIMS).replace(str(CLAIMS["exp"]).encode(), raw)), "malformed", "number")
vector("iat_string", token(iat="1785000000"), "malformed", "number")
vector("iat_float", token(iat=1785000000.5), "malformed", "number")
vector("nbf_string", token(nbf="0"), "malformed", "number")

# Whose.
for name, sub in [
    ("longer_id", "vid10"),
    ("shorter_id", "vid"),
    ("upper_case_id", "VID1"),
    ("id_with_a_dot", "vid1.x"),
    ("pass_that_does_not_hold_it", "pass:other"),
    ("unknown_pass", "pass:gone"),
]:
    vector(name, token(sub=sub), "other-video", "scope")
vector("prefix_the_other_way", token(), "other-video", "scope", video="vid10")
for name, sub in [
    ("sub_empty", ""),
    ("sub_with_slash", "vid1/"),
    ("sub_dot_dot", ".."),
    ("sub_star_star", "**"),
    ("sub_star_behind", "vid*"),
    ("sub_pass_without_name", "pass:"),
    ("sub_with_space", "vid1 "),
    ("sub_with_nul", "vid1\x00"),
    ("sub_too_long", "v" * 129),
    ("sub_list", ["vid1"]),
    ("sub_number", 1),
]:
    vector(name, token(sub=sub), "malformed", "scope")
vector("revoked", token(jti="revoked-1"), "revoked")
vector("revoked_and_expired", token(jti="revoked-1", exp=1), "revoked")
vector("revoked_of_another_video", token(jti="revoked-1", sub="vid10"), "revoked")

# Claims that are missing, doubled or not claims.
for name in ["sub", "tier", "iat", "jti"]:
    vector(f"{name}_missing", token(**{name: None}), "malformed", "claims")
    raw = compact({name: CLAIMS[name]})[1:-1]
    doubled = compact(CLAIMS)[:-1] + b"," + raw + b"}"
    vector(f"{name}_twice", token(claims=doubled), "malformed", "duplicate")
vector("exp_twice", token(claims=compact(CLAIMS)[:-1] + b',"exp":9007199254740991}'), "malformed", "duplicate")
vector("exp_twice_escaped", token(claims=compact(CLAIMS)[:-1] + b',"e\\u0078p":9007199254740991}'), "malformed", "duplicate")
vector("unknown_twice", token(claims=compact(CLAIMS)[:-1] + b',"x":1,"x":2}'), "malformed", "duplicate")
vector("tier_empty", token(tier=""), "malformed", "claims")
vector("tier_too_long", token(tier="t" * 33), "malformed", "claims")
vector("tier_with_newline", token(tier="24h\r\nX: y"), "malformed", "claims")
vector("jti_empty", token(jti=""), "malformed", "claims")
vector("jti_with_space", token(jti="a b"), "malformed", "claims")
vector("jti_number", token(jti=7), "malformed", "claims")
vector("jti_too_long", token(jti="j" * 129), "malformed", "claims", "boundary")
vector("longest_jti", token(jti="j" * 128), "granted", "claims", "boundary")
vector("longest_tier", token(tier="t" * 32), "granted", "claims", "boundary")
vector("longest_video", token(sub="v" * 128), "granted", "claims", "boundary", video="v" * 128)
for name, raw in [
    ("claims_list", b"[]"),
    ("claims_string", b'"vid1"'),
    ("claims_empty_object", b"{}"),
    ("claims_empty", b""),
    ("claims_cut", compact(CLAIMS)[:-1]),
    ("claims_with_more_behind", compact(CLAIMS) + b"{}"),
    ("claims_with_nul_behind", compact(CLAIMS) + b"\x00"),
    ("claims_not_utf_8", compact(CLAIMS).replace(b"24h", b"24\xff")),
    ("claims_with_bom", b"\xef\xbb\xbf" + compact(CLAIMS)),
    ("claims_with_33_members", compact({**CLAIMS, **{f"x{i}": i for i in range(33)}})),
]:
    vector(name, token(claims=raw), "malformed", "claims")

# Headers.
vector("alg_none", b64(b'{"alg":"none","kid":"k1"}') + "." + payload + ".", "malformed", "alg")
vector("alg_none_with_a_tag", token(header={"alg": "none", "kid": "k1"}), "malformed", "alg")
vector("alg_hs384", token(header={"alg": "HS384", "kid": "k1"}, digest=hashlib.sha384), "malformed", "alg")
vector("alg_hs384_with_a_sha256_tag", token(header={"alg": "HS384", "kid": "k1"}), "malformed", "alg")
vector("alg_hs512", token(header={"alg": "HS512", "kid": "k1"}, digest=hashlib.sha512), "malformed", "alg")
vector("alg_rs256", token(header={"alg": "RS256", "kid": "k1"}), "malformed", "alg")
vector("alg_lower_case", token(header={"alg": "hs256", "kid": "k1"}), "malformed", "alg")
vector("alg_missing", token(header={"kid": "k1"}), "malformed", "alg")
vector("alg_list", token(header={"alg": ["HS256"], "kid": "k1"}), "malformed", "alg")
vector("alg_twice", token(header=b'{"alg":"none","alg":"HS256","kid":"k1"}'), "malformed", "duplicate")
vector("kid_twice", token(header=b'{"alg":"HS256","kid":"k2","kid":"k1"}'), "malformed", "duplicate")
vector("alg_twice_escaped", token(header=b'{"alg":"HS256","\\u0061lg":"none","kid":"k1"}'), "malformed", "duplicate")
vector("typ_twice", token(header=b'{"alg":"HS256","kid":"k1","typ":"JWT","typ":"JWT"}'), "malformed", "duplicate")
vector("crit", token(header={"alg": "HS256", "kid": "k1", "crit": ["exp"]}), "malformed", "crit")
vector("crit_empty", token(header={"alg": "HS256", "kid": "k1", "crit": []}), "malformed", "crit")
vector("b64_false", token(header={"alg": "HS256", "kid": "k1", "b64": False, "crit": ["b64"]}), "malformed", "crit")
vector("typ_of_another_kind", token(header={"alg": "HS256", "kid": "k1", "typ": "at+jwt"}), "malformed", "typ")
vector("kid_missing", token(header={"alg": "HS256"}), "malformed", "kid")
vector("kid_unknown", token(kid="k9"), "unknown-key", "kid")
vector("kid_empty", token(header={"alg": "HS256", "kid": ""}), "unknown-key", "kid")
vector("kid_number", token(header={"alg": "HS256", "kid": 1}), "malformed", "kid")
vector("kid_too_long", token(header={"alg": "HS256", "kid": "k" * 65}), "malformed", "kid", "boundary")
vector("kid_of_another_case", token(header={"alg": "HS256", "kid": "K1"}), "unknown-key", "kid")
vector("kid_path_trick", token(header={"alg": "HS256", "kid": "../k1"}), "unknown-key", "kid")
vector("kid_of_another_key", token(kid="k2", key=KEYS["k1"]), "bad-signature", "kid")
vector("kid_retired", token(kid="old"), "unknown-key", "kid")
vector("key_in_the_header", token(header={"alg": "HS256", "kid": "k1", "jwk": {"kty": "oct", "k": "AA"}}, key=b"\0"), "bad-signature", "kid")
vector("header_list", token(header=b'["HS256","k1"]'), "malformed", "header")
vector("header_not_json", token(header=b"HS256"), "malformed", "header")
vector("header_beyond_512_bytes", token(header={"alg": "HS256", "kid": "k1", "x": "y" * 500}), "malformed", "header", "boundary")
vector("header_empty", "." + payload + "." + tag, "malformed", "header")

# Signatures.
vector("forged", token(key=bytes(32)), "bad-signature", "signature")
vector("empty_key", token(key=b"\0"), "bad-signature", "signature")
vector("tag_of_another_token", header + "." + payload + "." + token(jti="x").split(".")[2], "bad-signature", "signature")
vector("payload_of_another_token", header + "." + token(exp=2**53 - 1).split(".")[1] + "." + tag, "bad-signature", "signature")
vector("tag_of_zeros", header + "." + payload + "." + b64(bytes(32)), "bad-signature", "signature")
vector("bit_flipped_in_the_header", flip(good, 0, 23, 1), "unknown-key", "flip")
vector("bit_flipped_in_the_payload", flip(good, 1, 9, 0), "bad-signature", "flip")
vector("bit_flipped_in_the_first_tag_byte", flip(good, 2, 0, 7), "bad-signature", "flip")
vector("bit_flipped_in_the_last_tag_byte", flip(good, 2, 31, 0), "bad-signature", "flip")
vector("tag_half", header + "." + payload + "." + b64(base64.urlsafe_b64decode(tag + "=")[:16]), "malformed", "signature")
vector("tag_one_byte_long", header + "." + payload + "." + b64(base64.urlsafe_b64decode(tag + "=") + b"\0"), "malformed", "signature")
vector("tag_empty", header + "." + payload + ".", "malformed", "signature")
vector("tag_in_hex", header + "." + payload + "." + base64.urlsafe_b64decode(tag + "=").hex(), "malformed", "signature")

# Envelopes.
vector("empty", "", "missing", "envelope")
vector("one_part", header, "malformed", "envelope")
vector("two_parts", header + "." + payload, "malformed", "envelope")
vector("four_parts", good + "." + tag, "malformed", "envelope")
vector("dots_only", "..", "malformed", "envelope")
vector("truncated", good[:-1], "malformed", "envelope")
vector("cut_in_the_payload", good[: len(header) + 20], "malformed", "envelope")
vector("trailing_byte", good + "A", "malformed", "envelope")
vector("trailing_newline", good + "\n", "malformed", "envelope")
vector("leading_space", " " + good, "malformed", "envelope")
vector("space_inside", header + ". " + payload + "." + tag, "malformed", "envelope")
vector("padded_tag", good + "=", "malformed", "base64")
vector("padded_header", header + "==." + payload + "." + tag, "malformed", "base64")
vector("standard_alphabet", good.replace("-", "+").replace("_", "/") if "-" in tag + "_" and ("-" in good or "_" in good) else good + "+", "malformed", "base64")
vector("non_canonical_tag", noncanonical(good), "malformed", "base64")
vector("percent_encoded_dot", good.replace(".", "%2E"), "malformed", "base64")
vector("non_ascii", good.encode() + b"\xff", "malformed", "envelope")
vector("not_utf_8", b"\xff\xfe\xfd", "malformed", "envelope")
vector("nul_bytes", bytes(64), "malformed", "envelope")
vector("8_kb_of_letters", "A" * 8192, "malformed", "long")
vector("8_kb_signed", token(x="y" * 6000), "malformed", "long")
longest = 0
while len(token(x="y" * (longest + 1))) <= 4096:
    longest += 1
vector("4_kb_signed", token(x="y" * longest), "granted", "long", "boundary")
vector("just_over_4_kb_signed", token(x="y" * (longest + 3)), "malformed", "long", "boundary")
vector("braces_8_kb", "{" * 8192, "malformed", "long")
vector("jws_json_serialisation", json.dumps({"payload": payload, "protected": header, "signature": tag}), "malformed", "envelope")

keys = [
    {"kty": "oct", "kid": kid, "k": b64(key), **({"retired": True} if kid == "old" else {})} for kid, key in KEYS.items()
]
names = [vector["name"] for vector in vectors]
assert len(names) == len(set(names)), "two vectors have the same name"
lines = ",\n".join("    " + json.dumps(vector) for vector in vectors)
print('{\n  "keys": ' + json.dumps(keys) + ',\n  "revoked": ["revoked-1"],')
print('  "passes": {"both": ["vid1", "vid10"], "other": ["vid10"], "all": "all"},')
print('  "vectors": [\n' + lines + "\n  ]\n}")
