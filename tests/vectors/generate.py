#!/usr/bin/env python3
"""Writes verdicts.json: cases for the validator, each with the verdict it must give.

The expected verdicts come from the small model in `judge` below, which shares no code with the
validator: SHA-256, CRC-32 and JSON are those of Python's standard library. Tokens are signed by
`signing.py`; the model verifies nothing, it looks up whether that key has signed those bytes.

    generate.py          writes verdicts.json beside this file
    generate.py --check  exits 1 when the file is not what would be written
"""

import base64
import hashlib
import ipaddress
import itertools
import json
import math
import pathlib
import random
import re
import sys
import zlib
from fractions import Fraction

sys.dont_write_bytecode = True  # no cache of signing.py among the vectors
import signing
from signing import b64

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
NOW = 1_800_000_000
STATUS = {
    "missing_credential": 401, "malformed": 401, "unknown_key": 401, "revoked": 401, "suspended": 401,
    "expired": 401, "not_yet_valid": 401, "rotated": 401, "insufficient_scope": 403,
    "wrong_environment": 403, "address_not_allowed": 403, "rate_limited": 429, "unavailable": 503,
    "bad_signature": 401, "unknown_issuer": 401, "unknown_signing_key": 401, "algorithm_not_allowed": 401,
    "wrong_audience": 401, "invalid_claim": 401,
}
KEYS_ONLY = {"missing_credential", "unknown_key", "rotated", "address_not_allowed", "rate_limited"}
LATEST = 253402300799
FORMATS = [
    {"prefix": "cvx", "separator": "_", "environments": ["live", "test"], "body": 30, "checksum": "crc32"},
    {"prefix": "cpx", "separator": ".", "environments": ["live", "test"], "body": 30, "checksum": "crc32"},
    {"prefix": "sk", "separator": "_", "environments": ["live", "test", "test_dev", "test_staging", "live_prod"],
     "body": 30, "checksum": "crc32"},
    {"prefix": "hx", "separator": "_", "environments": ["live", "test"], "body": 30, "checksum": "crc32"},
    {"prefix": "my_co", "separator": "_", "environments": ["e2e"], "body": 22, "checksum": "none"},
]
random_source = random.Random(20260801)


def base62(number, length):
    text = ""
    for _ in range(length):
        number, rest = divmod(number, 62)
        text = ALPHABET[rest] + text
    return text


def secret(form, environment, body=None):
    body = body or "".join(random_source.choice(ALPHABET) for _ in range(form["body"]))
    text = f"{form['prefix']}_{environment}{form['separator']}{body}"
    if form["checksum"] == "crc32":
        text += base62(zlib.crc32(text.encode()), 6)
    return text


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def key_id():
    return "key_" + "".join(random_source.choice("0123456789abcdef") for _ in range(32))


def record(credential, environment="live", **fields):
    data = credential if isinstance(credential, bytes) else credential.encode()
    return {"key_id": key_id(), "digest": sha256(data), "state": "active", "env": environment, **fields}


# --- the model: keys -----------------------------------------------------------------------------


def looks_like(form, text):
    """None: not of the format; else whether the checksum is right."""
    tail = form["body"] + (6 if form["checksum"] == "crc32" else 0)
    head, body = text[:-tail], text[-tail:]
    if len(body) < tail or not all(c in ALPHABET for c in body):
        return None
    if head not in [f"{form['prefix']}_{env}{form['separator']}" for env in form["environments"]]:
        return None
    return form["checksum"] == "none" or text[-6:] == base62(zlib.crc32(text[:-6].encode()), 6)


def covers(granted, required):
    if granted == required:
        return True
    resource = granted[:-1]
    return granted.endswith(":*") and required.startswith(resource) and len(required) > len(resource)


def has_scopes(scopes, req):
    has = lambda required: any(covers(granted, required) for granted in scopes)
    wanted = req.get("any_of", [])
    return all(has(s) for s in req.get("all_of", [])) and (not wanted or any(has(s) for s in wanted))


def address_of(text):
    address = ipaddress.ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


def deny(code, **more):
    return {"verdict": "deny", "code": code, "status": STATUS[code], **more}


def missed(data, formats):
    """Why a credential is none that we know."""
    text = data.decode("latin-1")
    return deny("unknown_key" if any(looks_like(form, text) is not None for form in formats) else "malformed")


def judge(data, rec, req, formats, issuers):
    """What comes with the record of a key is judged as a key; of the rest, what has two dots as a token."""
    too_large = len(formats) > 32 or len(req.get("all_of", [])) > 32 or len(req.get("any_of", [])) > 32
    owner = (rec or {}).get("owner")
    if rec and (len(rec.get("scopes", [])) > 64 or len(rec.get("addresses", [])) > 32):
        too_large = True
    if owner is not None and (not 1 <= len(owner.encode()) <= 254 or any(ord(c) < 32 or 127 <= ord(c) < 160 for c in owner)):
        too_large = True
    if too_large:
        return deny("unavailable")
    of_key = rec is not None and "key_id" in rec
    if data.count(b".") == 2 and not of_key:
        try:
            return judge_token(data, rec or {}, req, issuers)
        except Broken as broken:
            return missed(data, formats) if broken.code == "malformed" else deny(broken.code)
    if not data:
        return deny("missing_credential")
    if len(data) > 65536:
        return deny("malformed")
    if rec is not None and not of_key:
        return deny("unavailable")
    if rec is None or rec["digest"] != sha256(data):
        return missed(data, formats)
    return judge_key(rec, req)


def judge_key(rec, req):
    now = req["now"]
    if rec["state"] != "active":
        return deny(rec["state"])
    if rec.get("retires_at") is not None and now >= rec["retires_at"]:
        return deny("rotated")
    if rec.get("expires_at") is not None and now >= rec["expires_at"]:
        return deny("expired")
    if rec.get("not_before") is not None and now < rec["not_before"]:
        return deny("not_yet_valid")
    if req.get("env") is not None and req["env"] != rec["env"]:
        return deny("wrong_environment")
    if rec.get("addresses"):
        address = req.get("address") and address_of(req["address"])
        ranges = [ipaddress.ip_network(text) for text in rec["addresses"]]
        if not address or not any(address.version == r.version and address in r for r in ranges):
            return deny("address_not_allowed")
    if not has_scopes(rec.get("scopes", []), req):
        return deny("insufficient_scope")
    rate, usage = rec.get("rate"), req.get("usage")
    if rate and usage and usage["used"] >= rate["limit"] and now < usage["resets_at"]:
        return deny("rate_limited", retry_after=min(usage["resets_at"] - now, 2**32 - 1))
    return {
        "verdict": "allow",
        "principal": {
            "kind": "api_key", "key_id": rec["key_id"], "owner": rec.get("owner"), "env": rec["env"],
            "scopes": rec.get("scopes", []), "expires_at": rec.get("expires_at"),
        },
    }


# --- the model: tokens ---------------------------------------------------------------------------

ALGORITHMS = {
    ("EC", "P-256"): {"ES256"}, ("EC", "P-384"): {"ES384"}, ("OKP", "Ed25519"): {"EdDSA", "Ed25519"},
    ("RSA", None): {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}, ("oct", None): {"HS256", "HS384", "HS512"},
}
REFUSED_MEMBERS = ["crit", "b64", "zip", "enc", "cty"]
PRIVATE_MEMBERS = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
ENVIRONMENT = re.compile("[a-z](_?[a-z0-9])*")
SCOPE_TOKEN = re.compile(r"[!#-\[\]-~]+")
# Every signature that a key of this file has made: the key, how, the bytes that are signed, the signature.
made = set()


class Broken(Exception):
    """The first rule that a token breaks, by the code of its verdict."""

    def __init__(self, code):
        self.code = code


def need(holds, code):
    if not holds:
        raise Broken(code)


def judge_token(data, rec, req, issuers):
    """The rules in their order: form, issuer, algorithm, key, signature; record, times; kind, audience and other claims;
    environment, scopes."""
    need(len(data) <= 65536, "malformed")
    header, payload, signature = (read_segment(segment) for segment in data.split(b"."))
    header, claims = read_json(header), read_json(payload)
    check_header(header)
    need(is_text(claims.get("iss")), "invalid_claim")
    issuer = next((known for known in issuers if known["issuer"] == claims["iss"]), None)
    need(issuer, "unknown_issuer")
    need(len(data) <= issuer.get("longest_token", 8192), "malformed")
    need(header["alg"] in issuer["algorithms"], "algorithm_not_allowed")
    key = choose_key(issuer, header)
    need((material(key), scheme(header["alg"]), data.rpartition(b".")[0], signature) in made, "bad_signature")
    check_token_record(claims, rec)
    check_times(claims, req["now"], issuer.get("leeway", 0))
    asked = issuer.get("typ")
    need(asked is None or token_type(header.get("typ")) == token_type(asked), "invalid_claim")
    check_audience(claims, issuer.get("audiences"))
    principal = principal_of(claims, issuer)
    own, asked = principal["env"], req.get("env")
    need(asked in (None, own) or own is None and issuer.get("any_environment"), "wrong_environment")
    need(has_scopes(principal["scopes"], req), "insufficient_scope")
    return {"verdict": "allow", "principal": principal}


def read_segment(segment):
    """base64url, of which each value has one text."""
    need(re.fullmatch(rb"[A-Za-z0-9_-]*", segment) and len(segment) % 4 != 1, "malformed")
    data = base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
    need(b64(data).encode() == segment, "malformed")
    return data


def read_json(data):
    """An object of JSON as Python reads it, and stricter: at every level a member stands once."""
    def members(pairs):
        need(len({name for name, _ in pairs}) == len(pairs), "malformed")
        return dict(pairs)

    def number(text):
        need(math.isfinite(float(text)), "malformed")
        return float(text) if re.search("[.eE]", text) else int(text)

    def no_number(_):
        raise Broken("malformed")

    try:
        value = json.loads(
            data.decode(), object_pairs_hook=members, parse_float=number, parse_int=number, parse_constant=no_number
        )
        json.dumps(value, ensure_ascii=False).encode()  # half of a surrogate pair has no UTF-8
    except (ValueError, OverflowError):
        raise Broken("malformed") from None
    need(isinstance(value, dict) and depth(value) <= 16, "malformed")
    return value


def depth(value):
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth, inner), default=0)


def check_header(header):
    need(is_text(header.get("alg")), "malformed")
    need(is_text(header.get("kid", "")) and len(header.get("kid", "").encode()) <= 256, "malformed")
    need("typ" not in header or token_type(header["typ"]) in ["jwt", "at+jwt"], "malformed")
    need(not any(name in header for name in REFUSED_MEMBERS), "malformed")
    jwk, chain = header.get("jwk", {"kty": "EC"}), header.get("x5c", ["AA"])
    need(isinstance(jwk, dict) and is_text(jwk.get("kty")) and jwk["kty"] != "oct", "malformed")
    need(not PRIVATE_MEMBERS & set(jwk), "malformed")
    need(all(is_text(jwk.get(name, "")) for name in ["crv", "x", "y", "n", "e"]), "malformed")
    need(are_texts(chain) and chain and all(re.fullmatch("[A-Za-z0-9+/]+=*", one) for one in chain), "malformed")
    for name in ["jku", "x5u"]:
        uri = header.get(name, "a:b")
        need(is_text(uri) and re.fullmatch("[A-Za-z][A-Za-z0-9+.-]*:[!-~]+", uri), "malformed")
    need(is_text(header.get("x5t", "")) and is_text(header.get("x5t#S256", "")), "malformed")


def is_text(value):
    return isinstance(value, str)


def are_texts(value):
    return isinstance(value, list) and all(map(is_text, value))


def token_type(name):
    return name.lower().removeprefix("application/") if is_text(name) else None


def choose_key(issuer, header):
    """The key of the `kid`, else the only one that fits; a key that cannot be used is none."""
    keys = [(key, algorithms_of(key, issuer)) for key in issuer["jwks"]["keys"]]
    if "kid" in header:
        meant = [(key, algorithms) for key, algorithms in keys if algorithms and key.get("kid") == header["kid"]]
    else:
        meant = [(key, algorithms) for key, algorithms in keys if header["alg"] in algorithms]
    need(len(meant) == 1, "unknown_signing_key")
    key, algorithms = meant[0]
    need(header["alg"] in algorithms, "algorithm_not_allowed")
    return key


def algorithms_of(key, issuer):
    """What signatures of this key are for; nothing when it cannot be used."""
    others = [other for other in issuer["jwks"]["keys"] if other is not key]
    if any("kid" in key and other.get("kid") == key["kid"] for other in others):
        return set()
    if key.get("use", "sig") != "sig" or "verify" not in key.get("key_ops", ["verify"]):
        return set()
    algorithms = ALGORITHMS.get((key["kty"], key.get("crv")), set())
    value = {name: read_segment(key[name].encode()) for name in ["n", "e", "x", "y", "k"] if name in key}
    number = {name: int.from_bytes(data, "big") for name, data in value.items()}
    if key["kty"] == "RSA":
        large = number["e"] >= 65537 or number["e"] == 3 and issuer.get("small_exponent")
        algorithms = algorithms if large and 2048 <= number["n"].bit_length() <= 8192 else set()
    elif key["kty"] == "EC":
        curve = {"P-256": signing.P256, "P-384": signing.P384}.get(key["crv"])
        exact = curve and len(value["x"]) == len(value["y"]) == curve.size
        algorithms = algorithms if exact and signing.on_curve(curve, number["x"], number["y"]) else set()
    elif key["kty"] == "OKP":
        y = int.from_bytes(value["x"], "little") % 2**255
        weak = y in (0, 1, signing.ED25519_PRIME - 1)  # the points of order 1, 2 and 4
        algorithms = algorithms if len(value["x"]) == 32 and not weak else set()
    elif key["kty"] == "oct":
        secret = issuer.get("secrets") and all(other["kty"] == "oct" for other in others)
        text = b"-----BEGIN " in value["k"] or b'"kty"' in value["k"]
        long_enough = {name for name in algorithms if 8 * len(value["k"]) >= int(name[2:])}
        algorithms = long_enough if secret and not text else set()
    return algorithms & {key["alg"]} if "alg" in key else algorithms


def material(key):
    """What is the key of a JWK, whatever is said about it."""
    return tuple(key.get(name) for name in ["kty", "crv", "x", "y", "n", "e", "k"])


def scheme(algorithm):
    return "EdDSA" if algorithm == "Ed25519" else algorithm


def check_token_record(claims, rec):
    try:
        issued_at = math.floor(date(claims, "iat")) if "iat" in claims else None
    except Broken:
        issued_at = None
    too_old = rec.get("not_before") is not None and (issued_at is None or issued_at < rec["not_before"])
    need(not rec.get("revoked") and not too_old, "revoked")
    need(not rec.get("suspended"), "suspended")


def date(claims, name):
    value = claims[name]
    need(type(value) in (int, float) and 0 <= value < 2**53, "invalid_claim")
    return Fraction(value)


def check_times(claims, now, leeway):
    need("exp" in claims, "invalid_claim")
    need(now < date(claims, "exp") + leeway, "expired")
    starts = [date(claims, name) for name in ["nbf", "iat"] if name in claims]
    need(all(start <= now + leeway for start in starts), "not_yet_valid")


def check_audience(claims, audiences):
    need("aud" in claims or not audiences, "invalid_claim")
    named = claims.get("aud", "anybody")
    named = [named] if is_text(named) else named
    need(are_texts(named) and named, "invalid_claim")
    need(not audiences or set(named) & set(audiences), "wrong_audience")


def principal_of(claims, issuer):
    texts = ["sub", "jti", "sid", "client_id", "org_id", "scope"]
    need(all(is_text(claims.get(name, "")) for name in texts), "invalid_claim")
    need(not {"events", "at_hash", "c_hash"} & set(claims), "invalid_claim")
    need(claims.get("token_use", "access") == "access", "invalid_claim")
    need(claims.get("typ") not in ["ID", "Refresh", "Offline", "Logout"], "invalid_claim")
    defaults = {"scopes": ["scope"], "organization": "org_id", "roles": None, "environment": None}
    mapping = {**defaults, **issuer.get("claims", {})}
    organization = mapped(claims, mapping["organization"], "")
    need(is_text(organization), "invalid_claim")
    roles = mapped(claims, mapping["roles"], [])
    roles = [roles] if is_text(roles) else roles
    need(are_texts(roles), "invalid_claim")
    environment = mapped(claims, mapping["environment"], GONE)
    if environment is GONE:
        environment = issuer.get("environment")
    else:
        need(is_text(environment) and ENVIRONMENT.fullmatch(environment) and len(environment) <= 32, "invalid_claim")
    issued_at = min(math.floor(date(claims, "iat")), LATEST) if "iat" in claims else None
    return {
        "kind": "jwt", "issuer": claims["iss"], "subject": claims.get("sub") or None, "org_id": organization or None,
        "env": environment, "scopes": scopes_of(claims, mapping["scopes"]), "roles": roles,
        "client_id": claims.get("client_id") or None, "session_id": claims.get("sid") or None,
        "token_id": claims.get("jti") or None, "issued_at": issued_at,
        "expires_at": min(math.ceil(date(claims, "exp")), LATEST),
    }


def mapped(claims, name, absent):
    """The claim of a name or of a JSON Pointer (RFC 6901), whose way leads through objects only."""
    value = claims
    for step in [] if name is None else name[1:].split("/") if name.startswith("/") else [name]:
        step = step.replace("~1", "/").replace("~0", "~") if name.startswith("/") else step
        need(isinstance(value, dict), "invalid_claim")
        if step not in value:
            return absent
        value = value[step]
    return absent if name is None else value


def scopes_of(claims, names):
    """The scopes of all these claims; what no request can ask for is left out."""
    scopes = []
    for name in names:
        value = claims.get(name, "" if name == "scope" else [])
        need(is_text(value) if name == "scope" else are_texts(value), "invalid_claim")
        scopes += value if isinstance(value, list) else value.split(" ") if value else []
    need(len(scopes) <= 128 and all(SCOPE_TOKEN.fullmatch(scope) for scope in scopes), "invalid_claim")
    return [scope for scope in scopes if re.fullmatch(r"[^*]+|[^*]+:\*", scope) and len(scope) <= 128]


# --- who signs -----------------------------------------------------------------------------------

EDDSA, OTHER_EDDSA, STRANGER = (signing.Ed25519(name) for name in ["eddsa", "other eddsa", "stranger"])
ES256, OTHER_ES256, THIRD_ES256 = (signing.Ecdsa(signing.P256, name) for name in ["es256", "other", "third"])
ES384 = signing.Ecdsa(signing.P384, "es384")
RSA, RSA_3, RSA_1024 = signing.Rsa("rsa"), signing.Rsa("rsa", exponent=3), signing.Rsa("small rsa", bits=1024)
SECRET, SHORT_SECRET = signing.Secret(signing.hash_of(64, "secret")), signing.Secret(signing.hash_of(32, "short"))
TOO_SHORT, PEM_SECRET = signing.Secret(signing.hash_of(31, "too short")), signing.Secret(RSA.pem().encode())
JWK_SECRET = signing.Secret(json.dumps(RSA.jwk()).encode())

RSA_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512"]
HMAC_ALGORITHMS = ["HS256", "HS384", "HS512"]
EVERY_FAMILY = {"ed": EDDSA, "p256": ES256, "p384": ES384, "rsa": RSA}
FAMILY = {"EdDSA": "ed", "Ed25519": "ed", "ES256": "p256", "ES384": "p384", **dict.fromkeys(RSA_ALGORITHMS, "rsa")}


def jwk(key, kid=None, **members):
    return {**({} if kid is None else {"kid": kid}), **key.jwk(), **members}


def url(name):
    return f"https://{name}.example"


def known_issuer(name, algorithms, keys, **settings):
    return {"issuer": url(name), "algorithms": algorithms, **settings, "jwks": {"keys": keys}}


def eddsa_issuer(name, **settings):
    """One key without a name; without tables, since only speed depends on them."""
    return known_issuer(name, ["EdDSA"], [jwk(EDDSA)], **settings, tables=False)


def odd_keys():
    """Keys that cannot be used, each for one reason, and one that can."""
    x, y = ES256.public
    return [
        jwk(EDDSA, "good", use="sig", key_ops=["sign", "verify"], alg="EdDSA", x5t="AA"),
        jwk(OTHER_EDDSA, "encrypts", use="enc"), jwk(OTHER_EDDSA, "signs_only", key_ops=["sign"]),
        jwk(OTHER_EDDSA, "no_operation", key_ops=[]), jwk(OTHER_EDDSA, "other_algorithm", alg="ES256"),
        jwk(ES256, "unknown_algorithm", alg="ES512"), jwk(ES256, "other_curve", crv="P-384"),
        jwk(ES256, "off_curve", y=b64(signing.big_endian(y ^ 1, 32))),
        jwk(ES256, "long_coordinate", x=b64(signing.big_endian(x, 33))), jwk(ES384, "half_of_p384", crv="P-256"),
        jwk(RSA_1024, "short_modulus"), jwk(RSA_3, "small_exponent"),
        jwk(EDDSA, "neutral_element", x=b64(signing.ed25519_point(0))), jwk(EDDSA, "unknown_curve", crv="Ed448"),
        {"kid": "unknown_type", "kty": "AKP", "pub": "AA"},
    ]


ISSUERS = [
    known_issuer("ed", ["EdDSA"], [jwk(EDDSA, "ed-1"), jwk(OTHER_EDDSA, "ed-2")]),
    known_issuer("ed25519", ["Ed25519"], [jwk(EDDSA, "ed-1")], tables=False),
    known_issuer("es256", ["ES256"], [jwk(ES256, "es-1"), jwk(OTHER_ES256, "es-2"), jwk(THIRD_ES256)]),
    known_issuer("es384", ["ES384"], [jwk(ES384)]),
    known_issuer("rsa", RSA_ALGORITHMS, [jwk(RSA, "rsa-1")]),
    known_issuer("hmac", HMAC_ALGORITHMS, [jwk(SECRET, "hs-1"), jwk(SHORT_SECRET, "hs-2")], secrets=True),
    known_issuer("all", list(FAMILY), [jwk(key, kid) for kid, key in EVERY_FAMILY.items()], tables=False),
    known_issuer("one", ["ES256"], [jwk(key, kid) for kid, key in EVERY_FAMILY.items()], tables=False),
    known_issuer("pinned", ["RS256", "PS256"], [jwk(RSA, "rsa-1", alg="RS256")], tables=False),
    known_issuer("cube", ["RS256"], [jwk(RSA_3, "rsa-3")], small_exponent=True),
    known_issuer("mixed", ["RS256", "HS256"], [jwk(RSA, "rsa-1"), jwk(SECRET, "hs-1")], tables=False, secrets=True),
    known_issuer("fetched", ["HS256"], [jwk(SECRET, "hs-1")]),
    known_issuer("weak", HMAC_ALGORITHMS, [
        jwk(TOO_SHORT, "short"), jwk(PEM_SECRET, "pem"), jwk(JWK_SECRET, "jwk"), jwk(SHORT_SECRET, "256"),
    ], secrets=True),
    known_issuer("twins", ["EdDSA"], [
        jwk(EDDSA, "twin"), jwk(OTHER_EDDSA, "twin"), jwk(STRANGER, "single"),
    ], tables=False),
    known_issuer("odd", ["EdDSA", "ES256", "ES384", "RS256"], odd_keys(), tables=False),
    known_issuer("empty", ["EdDSA"], []),
    known_issuer("stranger", ["EdDSA"], [jwk(STRANGER, "ed-1")], tables=False),
    eddsa_issuer("audience", audiences=["api", "https://api.example"]),
    eddsa_issuer("access", typ="at+jwt"),
    eddsa_issuer("plain", typ="JWT"),
    eddsa_issuer("leeway", leeway=60),
    eddsa_issuer("live", environment="live"),
    eddsa_issuer("anywhere", any_environment=True),
    eddsa_issuer("says", claims={"environment": "env"}),
    eddsa_issuer("says_or_any", claims={"environment": "/app/env"}, any_environment=True),
    eddsa_issuer("mapped", claims={
        "scopes": ["scope", "scp", "permissions"], "organization": "/o/id", "roles": "roles",
    }),
    eddsa_issuer("nested", claims={
        "scopes": ["scopes"], "organization": None, "roles": "/https:~1~1id.example~1roles/app~0s",
    }),
    eddsa_issuer("short", longest_token=384),
    known_issuer("strict", ["EdDSA"], [jwk(EDDSA, "ed-1"), jwk(ES256, "p256")], audiences=["api"], typ="at+jwt",
                 claims={"roles": "roles"}, environment="live", longest_token=640, tables=False),
]
# What each issuer signs with, the usual first; no name where the key has none.
SIGNERS = {
    "ed": {"EdDSA": (EDDSA, "ed-1")}, "ed25519": {"Ed25519": (EDDSA, "ed-1")}, "es256": {"ES256": (ES256, "es-1")},
    "es384": {"ES384": (ES384, None)}, "rsa": {name: (RSA, "rsa-1") for name in RSA_ALGORITHMS},
    "hmac": {name: (SECRET, "hs-1") for name in HMAC_ALGORITHMS},
    "all": {name: (EVERY_FAMILY[kid], kid) for name, kid in FAMILY.items()}, "one": {"ES256": (ES256, "p256")},
    "pinned": {"RS256": (RSA, "rsa-1")}, "cube": {"RS256": (RSA_3, "rsa-3")}, "mixed": {"RS256": (RSA, "rsa-1")},
    "fetched": {"HS256": (SECRET, "hs-1")}, "weak": {"HS256": (SHORT_SECRET, "256")},
    "twins": {"EdDSA": (STRANGER, "single")}, "odd": {"EdDSA": (EDDSA, "good")}, "empty": {"EdDSA": (EDDSA, "ed-1")},
    "stranger": {"EdDSA": (STRANGER, "ed-1")}, "strict": {"EdDSA": (EDDSA, "ed-1")},
}
GONE = object()


def text_of(value, change):
    """The JSON of these members: some put in or taken out, or the whole text turned into another."""
    if isinstance(change, dict):
        value = {name: one for name, one in {**value, **change}.items() if one is not GONE}
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    return change(text) if callable(change) else text


def token(issuer="ed", claims=None, header=None, algorithm=None, key=None):
    """A good token, but for what is changed."""
    signers = SIGNERS.get(issuer, {"EdDSA": (EDDSA, None)})
    algorithm = algorithm or next(iter(signers))
    own, kid = signers.get(algorithm, next(iter(signers.values())))
    names = {"alg": algorithm} if kid is None else {"alg": algorithm, "kid": kid}
    usual = {"iss": url(issuer), "sub": "usr_1", "iat": NOW - 10, "exp": NOW + 300}
    segments = b64(text_of(names, header or {})), b64(text_of(usual, claims or {}))
    return sign(".".join(segments), algorithm, key or own)


def sign(signed, algorithm, key):
    """Signs two segments, and writes down that this key has."""
    signature = key.sign(algorithm, signed.encode())
    remember(signed, algorithm, key, signature)
    return f"{signed}.{b64(signature)}"


def remember(signed, algorithm, key, signature):
    made.add((material(key.jwk()), scheme(algorithm), signed.encode(), signature))


def parts(good):
    """What is signed, and the signature."""
    signed, _, signature = good.rpartition(".")
    return signed, read_segment(signature.encode())


# --- the cases: keys -----------------------------------------------------------------------------

cases = []


def case(name, credential, rec=None, req=None, formats="all", issuers="none"):
    """A credential is a text, bytes, or (text, times)."""
    entry = {"name": name}
    if isinstance(credential, tuple):
        data = (credential[0] * credential[1]).encode()
        entry["credential_repeat"] = {"text": credential[0], "times": credential[1]}
    elif isinstance(credential, bytes):
        data = credential
        entry["credential_hex"] = data.hex()
    else:
        data = credential.encode()
        entry["credential"] = credential
    req = {"now": NOW, **(req or {})}
    known = {"all": FORMATS, "none": [], "too_many": FORMATS * 7}[formats]
    verdict = judge(data, rec, req, known, {"all": ISSUERS, "none": []}[issuers])
    entry |= {"record": rec, "request": req, "formats": formats, "issuers": issuers, "verdict": verdict}
    cases.append(entry)


def parse_cases():
    for form in FORMATS:
        for environment in form["environments"]:
            key = secret(form, environment)
            label = f"{form['prefix']}_{environment}"
            case(f"format/{label}/found", key, record(key, environment))
            case(f"format/{label}/not_found", key)
            case(f"format/{label}/wrong_record", key, record("another", environment))
            case(f"format/{label}/cut", key[:-1])
            case(f"format/{label}/one_more", key + "0")
            case(f"format/{label}/first_cut", key[1:])
            case(f"format/{label}/body_typo", key[:-8] + ("A" if key[-8] != "A" else "B") + key[-7:])
            case(f"format/{label}/checksum_typo", key[:-1] + ("A" if key[-1] != "A" else "B"))
            case(f"format/{label}/upper_case_prefix", key[0].upper() + key[1:])
            case(f"format/{label}/no_formats", key, None, None, "none")
            case(f"format/{label}/found_without_formats", key, record(key, environment), None, "none")
    hx = FORMATS[3]
    key = secret(hx, "live")
    for label, text in [
        ("empty", ""), ("space", " "), ("word", "hello"), ("prefix_only", "hx_live_"), ("with_space", " " + key),
        ("with_newline", key + "\n"), ("bearer", "Bearer " + key), ("nul", "hx_live_\0"), ("unicode", "hx_live_é"),
        ("two_segments", "eyJhbGciOiJub25lIn0.e30"), ("wrong_environment_name", secret({**hx, "prefix": "hx"}, "dev")),
        ("dot_for_underscore", key.replace("hx_live_", "hx_live.")), ("other_prefix", secret({**hx, "prefix": "hy"}, "live")),
        ("body_with_underscore", "hx_live_" + "a" * 29 + "_" + "000000"),
        ("environment_of_another", secret({**hx}, "test_dev")), ("no_environment", "hx_" + "a" * 36),
    ]:
        case(f"parse/{label}", text)
        if text:
            case(f"parse/{label}/imported", text, record(text))
    case("parse/not_utf8", bytes(range(128, 256)))
    case("parse/not_utf8/imported", bytes(range(128, 256)), record(bytes(range(128, 256))))
    case("parse/longest", ("x", 65536), record(b"x" * 65536))
    case("parse/longest_unknown", ("x", 65536))
    case("parse/too_long", ("x", 65537), record(b"x" * 65537))
    case("parse/one_mebibyte", ("x", 1 << 20))


def state_cases():
    times = {"past": NOW - 1, "now": NOW, "future": NOW + 1}
    for state in ["active", "suspended", "revoked"]:
        for field in ["retires_at", "expires_at", "not_before"]:
            for label, time in times.items():
                key = secret(FORMATS[3], "live")
                case(f"state/{state}/{field}_{label}", key, record(key, state=state, **{field: time}))
    for retires in times:
        for expires in times:
            for starts in times:
                key = secret(FORMATS[0], "live")
                fields = {"retires_at": times[retires], "expires_at": times[expires], "not_before": times[starts]}
                case(f"order/retires_{retires}/expires_{expires}/starts_{starts}", key, record(key, **fields))
    key = secret(FORMATS[3], "live")
    case("time/first_second", key, record(key, expires_at=1), {"now": 0})
    case("time/last_second", key, record(key, not_before=253402300799), {"now": 253402300799})
    case("time/expired_at_the_end", key, record(key, expires_at=253402300799), {"now": 253402300799})
    case("grace/mark_has_no_effect", key, record(key, starts_grace=True))


def environment_cases():
    sk = FORMATS[2]
    for have in sk["environments"]:
        for want in sk["environments"] + ["prod"]:
            key = secret(sk, have)
            case(f"environment/{have}/asked_{want}", key, record(key, have), {"env": want})


def scope_cases():
    grants = {
        "none": [], "read": ["read"], "two": ["read", "write"], "exact": ["documents:read"], "wildcard": ["documents:*"],
        "deep": ["documents:drafts:*"], "url": ["https://example.com/a"],
    }
    wants = [
        ([], []), (["read"], []), (["read", "write"], []), ([], ["write", "read"]), ([], ["admin"]),
        (["read"], ["write", "admin"]), (["documents:read"], []), (["documents:drafts:mine"], []), (["documents:*"], []),
        (["documents"], []), (["documents:"], []), (["documentsx:read"], []), ([], ["documents.read", "documents:drafts:"]),
        (["https://example.com/a"], []), (["READ"], []),
    ]
    for label, granted in grants.items():
        for all_of, any_of in wants:
            key = secret(FORMATS[3], "live")
            name = "+".join(all_of) + ("|" + "|".join(any_of) if any_of else "")
            case(f"scope/{label}/asked_{name or 'nothing'}", key, record(key, scopes=granted), {"all_of": all_of, "any_of": any_of})


def address_cases():
    ranges = {
        "any": [], "v4": ["10.0.0.0/8"], "single": ["192.0.2.7/32"], "v6": ["2001:db8::/32"], "both": ["10.0.0.0/8", "2001:db8::/32"],
        "all_v4": ["0.0.0.0/0"], "all_v6": ["::/0"],
    }
    for label, allowed in ranges.items():
        for address in [None, "10.255.255.255", "11.0.0.0", "192.0.2.7", "192.0.2.8", "2001:db8::1", "2001:db9::", "::ffff:10.0.0.1"]:
            key = secret(FORMATS[3], "live")
            req = {"address": address} if address else {}
            case(f"address/{label}/from_{address or 'unknown'}", key, record(key, addresses=allowed), req)


def rate_cases():
    for used in [0, 599, 600, 601, 2**32 - 1]:
        for resets in [NOW - 1, NOW, NOW + 1, NOW + 60]:
            key = secret(FORMATS[3], "live")
            req = {"usage": {"used": used, "resets_at": resets}}
            case(f"rate/used_{used}/resets_{resets - NOW:+d}", key, record(key, rate={"limit": 600, "window": 60}), req)
    key = secret(FORMATS[3], "live")
    case("rate/not_counted", key, record(key, rate={"limit": 1, "window": 60}))
    case("rate/no_rate", key, record(key), {"usage": {"used": 9, "resets_at": NOW + 9}})
    full = {"usage": {"used": 1, "resets_at": NOW + 30}}
    limited = {"rate": {"limit": 1, "window": 60}}
    case("rate/scope_first", key, record(key, **limited), {**full, "all_of": ["read"]})
    case("rate/longest_wait", key, record(key, **limited), {"usage": {"used": 1, "resets_at": 253402300799}})


def order_cases():
    """Everything is wrong at once; mended one by one, the next reason shows."""
    key = secret(FORMATS[3], "live")
    wrong = {
        "state": "revoked", "retires_at": NOW, "expires_at": NOW, "not_before": NOW + 1, "addresses": ["10.0.0.0/8"],
        "rate": {"limit": 1, "window": 60},
    }
    req = {"env": "test", "address": "192.0.2.1", "all_of": ["read"], "usage": {"used": 1, "resets_at": NOW + 5}}
    case("reasons/0_all", key, record(key, **wrong), req)
    for number, (target, field, value) in enumerate([
        ("rec", "state", "suspended"), ("rec", "state", "active"), ("rec", "retires_at", None), ("rec", "expires_at", None),
        ("rec", "not_before", None), ("req", "env", "live"), ("req", "address", "10.0.0.1"), ("rec", "scopes", ["read"]),
        ("req", "usage", {"used": 0, "resets_at": NOW + 5}),
    ], 1):
        (wrong if target == "rec" else req)[field] = value
        case(f"reasons/{number}_{field}", key, record(key, **wrong), dict(req))


def bound_cases():
    key = secret(FORMATS[3], "live")
    ranges = [f"10.{n}.0.0/16" for n in range(33)]
    many = [f"s{n}" for n in range(65)]
    case("bounds/64_scopes", key, record(key, scopes=many[:64]), {"all_of": ["s63"]})
    case("bounds/65_scopes", key, record(key, scopes=many))
    case("bounds/32_addresses", key, record(key, addresses=ranges[:32]), {"address": "10.31.0.1"})
    case("bounds/33_addresses", key, record(key, addresses=ranges), {"address": "10.31.0.1"})
    case("bounds/longest_owner", key, record(key, owner="o" * 254))
    case("bounds/owner_too_long", key, record(key, owner="o" * 255))
    case("bounds/owner_empty", key, record(key, owner=""))
    case("bounds/owner_with_control", key, record(key, owner="a\u0007b"))
    case("bounds/owner_unicode", key, record(key, owner="Ærø 日本"))
    case("bounds/32_required", key, record(key, scopes=many[:64]), {"all_of": many[:32]})
    case("bounds/33_required", key, record(key, scopes=many[:64]), {"all_of": many[:33]})
    case("bounds/33_any", key, record(key, scopes=many[:64]), {"any_of": many[:33]})
    case("bounds/35_formats", key, None, None, "too_many")
    case("bounds/longest_scope", key, record(key, scopes=["s" * 128]), {"all_of": ["s" * 128]})
    case("bounds/longest_environment", key, record(key, "e" * 32), {"env": "e" * 32})


# --- the cases: tokens ---------------------------------------------------------------------------


def token_case(name, credential, rec=None, req=None, formats="all", issuers="all"):
    case(f"token/{name}", credential, rec, req, formats, issuers)


def known_issuers_cases():
    """Keys, and what is neither key nor token, while issuers are known; and records of the other kind."""
    key, good, late = secret(FORMATS[3], "live"), token(), token(claims={"exp": 1})
    case("beside_tokens/key", key, record(key), issuers="all")
    case("beside_tokens/unknown_key", key, issuers="all")
    case("beside_tokens/nothing", "", issuers="all")
    case("beside_tokens/nothing/token_record", "", {}, issuers="all")
    for label, text in [("two_dots", "v1.live.0123456789ab"), ("dots_in_front", ".." + key), ("token", key + ".e30.")]:
        case(f"beside_tokens/{label}/imported", text, record(text), issuers="all")
        case(f"beside_tokens/{label}/not_found", text, issuers="all")
        case(f"beside_tokens/{label}/wrong_record", text, record(key), issuers="all")
    token_case("key_record/of_its_digest", good, record(good))
    token_case("key_record/of_its_digest/revoked", good, record(good, state="revoked"))
    token_case("key_record/of_its_digest/token_expired", late, record(late))
    token_case("key_record/of_another", good, record(key))
    token_case("key_record/out_of_bounds", good, record(good, owner="o" * 255))
    token_case("token_record/of_a_key", key, {})
    token_case("token_record/of_a_key/revoked", key, {"revoked": True})
    token_case("token_record/of_two_segments", good.rpartition(".")[0], {})
    token_case("token_record/of_five_segments", good + ".AA.AA", {})
    token_case("token_record/of_no_token", "v1.live.0123456789ab", {})
    token_case("token_record/of_much", ("x", 65537), {})
    token_case("bounds/too_many_formats", good, None, None, "too_many")
    scopes = [f"s{n}" for n in range(33)]
    many = token(claims={"scope": " ".join(scopes)})
    token_case("bounds/32_required", many, None, {"all_of": scopes[:32], "any_of": scopes[:32]})
    token_case("bounds/33_required", many, None, {"all_of": scopes})
    token_case("bounds/33_any", many, None, {"any_of": scopes})


def valid_cases():
    for issuer in ["ed", "ed25519", "es256", "es384", "rsa", "hmac"]:
        for algorithm in SIGNERS[issuer]:
            token_case(f"valid/{issuer}/{algorithm}", token(issuer, algorithm=algorithm))
    for algorithm in ["EdDSA", "ES256", "ES384", "RS256", "PS256"]:
        token_case(f"valid/all/{algorithm}", token("all", algorithm=algorithm))
    for issuer in ["one", "pinned", "cube", "mixed", "weak", "twins", "odd", "stranger"]:
        token_case(f"valid/{issuer}", token(issuer))
    everything = {
        "aud": ["web", "api"], "jti": "tok_1", "sid": "ses_1", "client_id": "app", "org_id": "org_1", "nbf": NOW,
        "scope": "read invoices:*", "token_use": "access", "typ": "Bearer", "x": {"y": [1.5, True, None]},
    }
    token_case("valid/every_claim", token(claims=everything), {}, {"now": NOW, "all_of": ["invoices:read"]})
    token_case("valid/few_claims", token(claims={"sub": GONE, "iat": GONE}))
    token_case("valid/other_members", token(header={"url": "https://id.example", "nonce": [1, {}], "x": None}))
    token_case("valid/spaces_in_json", token(claims=lambda good: b" " + good.replace(b",", b" ,\t\r\n") + b"\n"))
    usage = {"used": 9, "resets_at": NOW + 9}
    token_case("valid/address_and_usage", token(), None, {"address": "192.0.2.1", "usage": usage})


def signing_key_cases():
    token_case("kid/second", token(header={"kid": "ed-2"}, key=OTHER_EDDSA))
    token_case("kid/of_the_other_key", token(header={"kid": "ed-2"}))
    for issuer, algorithm, label in [
        ("ed", "EdDSA", "one_of_two"), ("es256", "ES256", "one_of_three"), ("hmac", "HS256", "one_of_two"),
        ("hmac", "HS512", "one_that_is_long_enough"), ("rsa", "PS256", "the_only_one"),
        ("all", "ES384", "one_of_its_curve"), ("one", "ES256", "one_on_the_list"),
        ("odd", "EdDSA", "one_that_can_be_used"), ("odd", "RS256", "none_that_can_be_used"),
        ("twins", "EdDSA", "one_that_is_no_twin"), ("mixed", "RS256", "one_that_is_public"), ("empty", "EdDSA", "none"),
    ]:
        key = RSA if algorithm == "RS256" else None
        token_case(f"no_kid/{issuer}/{algorithm}/{label}", token(issuer, None, {"kid": GONE}, algorithm, key))
    token_case("no_kid/stranger/key_of_another_issuer", token("stranger", header={"kid": GONE}, key=EDDSA))
    token_case("kid/where_the_key_has_none", token("es384", header={"kid": "es-1"}))
    token_case("kid/of_another_issuer", token(header={"kid": "es-1"}))
    token_case("kid/same_as_of_another_issuer", token(key=STRANGER))
    token_case("kid/same_as_of_another_issuer/turned_round", token("stranger", key=EDDSA))
    token_case("kid/of_an_empty_set", token("empty"))
    token_case("kid/twin/first", token("twins", header={"kid": "twin"}, key=EDDSA))
    token_case("kid/twin/second", token("twins", header={"kid": "twin"}, key=OTHER_EDDSA))
    for label, kid in [
        ("next", "ed-3"), ("upper_case", "ED-1"), ("empty", ""), ("nul_behind", "ed-1\0"), ("path", "../../dev/null"),
        ("sql", "' OR 1=1 --"), ("256_bytes", "é" * 128), ("257_bytes", "é" * 128 + "x"), ("number", 1),
        ("null", None), ("array", ["ed-1"]), ("object", {"ed-1": 1}),
    ]:
        token_case(f"kid/{label}", token(header={"kid": kid}))
    for kid, algorithm, key in [
        ("encrypts", "EdDSA", OTHER_EDDSA), ("signs_only", "EdDSA", OTHER_EDDSA),
        ("no_operation", "EdDSA", OTHER_EDDSA), ("other_algorithm", "EdDSA", OTHER_EDDSA),
        ("unknown_algorithm", "ES256", ES256), ("other_curve", "ES256", ES256), ("off_curve", "ES256", ES256),
        ("long_coordinate", "ES256", ES256), ("half_of_p384", "ES384", ES384), ("short_modulus", "RS256", RSA_1024),
        ("small_exponent", "RS256", RSA_3), ("unknown_curve", "EdDSA", EDDSA), ("unknown_type", "EdDSA", EDDSA),
    ]:
        token_case(f"kid/odd/{kid}", token("odd", None, {"kid": kid}, algorithm, key))
    # With the neutral element as the key, R = S·B is a signature of everything.
    signed, _ = parts(token("odd", header={"kid": "neutral_element"}))
    forged = signing.ed25519_point(1) + (1).to_bytes(32, "little")
    token_case("kid/odd/neutral_element", f"{signed}.{b64(forged)}")
    for kid, key in [("short", TOO_SHORT), ("pem", PEM_SECRET), ("jwk", JWK_SECRET)]:
        token_case(f"kid/weak/{kid}", token("weak", header={"kid": kid}, key=key))
    token_case("kid/secret_of_a_fetched_set", token("fetched"))
    token_case("kid/secret_among_public_keys", token("mixed", None, {"kid": "hs-1"}, "HS256", SECRET))
    for member, value in [
        ("jwk", jwk(STRANGER, "mine")), ("jku", "https://evil.example/jwks"), ("x5c", ["MIIB"]),
        ("x5u", "https://evil.example/"),
    ]:
        token_case(f"brings/{member}", token(header={member: value}, key=STRANGER))
    token_case("brings/jwk_of_its_kid", token(header={"jwk": jwk(STRANGER, "mine"), "kid": "mine"}, key=STRANGER))


def algorithm_cases():
    for name in ["none", "None", "NONE", "nOnE", ""]:
        token_case(f"alg/{name or 'empty'}", parts(token(header={"alg": name}))[0] + ".")
    token_case("alg/none/signed", token(header={"alg": "none"}))
    for name in ["eddsa", "EdDSA ", "Ed25519", "ES256", "HS256", "ES256K", "dir"]:
        token_case(f"alg/{name}", token(header={"alg": name}))
    for label, value in [("gone", GONE), ("null", None), ("number", 1), ("array", ["EdDSA"]), ("object", {"EdDSA": 1})]:
        token_case(f"alg/{label}", token(header={"alg": value}))
    token_case("alg/off_the_list/EdDSA_by_its_other_name", token("ed25519", header={"alg": "EdDSA"}))
    for name, key, kid in [("EdDSA", EDDSA, "ed"), ("ES384", ES384, "p384"), ("RS256", RSA, "rsa")]:
        token_case(f"alg/off_the_list/{name}", token("one", None, {"kid": kid}, name, key))
        token_case(f"alg/of_another_key/{name}", token("one", header={"kid": kid}))
    token_case("alg/other_than_the_key_says", token("pinned", algorithm="PS256"))
    token_case("alg/other_than_the_key_says/without_kid", token("pinned", None, {"kid": GONE}, "PS256"))
    for name in ["HS384", "HS512"]:
        token_case(f"alg/secret_too_short/{name}", token("hmac", None, {"kid": "hs-2"}, name, SHORT_SECRET))
    # Key confusion: everybody has the public key, and all that a MAC needs is a text.
    pem = RSA.pem()
    for label, text in [("pem", pem), ("pem_trimmed", pem.strip()), ("jwk", json.dumps(RSA.jwk()))]:
        for issuer in ["rsa", "mixed"]:
            token_case(f"confusion/{issuer}/{label}", token(issuer, None, {}, "HS256", signing.Secret(text.encode())))
    token_case("confusion/all/ed25519", token("all", None, {}, "HS256", signing.Secret(EDDSA.public)))


def signature_cases():
    """What is no signature of these bytes by this key; the issuer `all` has no tables."""
    def other(label, signed, signature):
        token_case(f"signature/{label}", f"{signed}.{b64(signature)}")

    for issuer, algorithm in [
        ("ed", "EdDSA"), ("es256", "ES256"), ("es384", "ES384"), ("rsa", "RS256"), ("rsa", "PS256"), ("hmac", "HS256"),
        ("all", "EdDSA"), ("all", "ES256"), ("all", "RS256"), ("all", "PS256"),
    ]:
        signed, good = parts(token(issuer, algorithm=algorithm))
        other(f"{issuer}/{algorithm}/zeros", signed, bytes(len(good)))
        other(f"{issuer}/{algorithm}/bit_turned", signed, good[:-1] + bytes([good[-1] ^ 1]))
        if issuer != "all":
            other(f"{issuer}/{algorithm}/none", signed, b"")
            other(f"{issuer}/{algorithm}/cut", signed, good[:-1])
            other(f"{issuer}/{algorithm}/zero_in_front", signed, b"\0" + good)
    other("ed/EdDSA/of_another", parts(token())[0], parts(token(claims={"sub": "usr_2"}))[1])
    for issuer, algorithm, key in [("es256", "ES256", ES256), ("es384", "ES384", ES384), ("all", "ES256", ES256)]:
        signed, good = parts(token(issuer, algorithm=algorithm))
        twin, size, (r, s) = key.twin(good), len(good) // 2, key.numbers(good)
        remember(signed, algorithm, key, twin)
        order = signing.big_endian(key.curve.order, size)
        for label, signature in [
            ("low_s", min(good, twin)), ("high_s", max(good, twin)), ("r_zero", bytes(size) + good[size:]),
            ("s_zero", good[:size] + bytes(size)), ("r_is_the_order", order + good[size:]),
            ("s_is_the_order", good[:size] + order), ("turned_round", good[size:] + good[:size]),
            ("der", signing.der(signing.SEQUENCE, signing.der_integer(r), signing.der_integer(s))),
        ]:
            if issuer == "es256" or label in ["high_s", "low_s", "r_zero", "der"]:
                other(f"{issuer}/{algorithm}/{label}", signed, signature)
    for issuer in ["ed", "all"]:
        signed, good = parts(token(issuer))
        larger = int.from_bytes(good[32:], "little") + signing.ED25519_ORDER
        other(f"{issuer}/EdDSA/s_and_the_order", signed, good[:32] + larger.to_bytes(32, "little"))
        other(f"{issuer}/EdDSA/r_neutral", signed, EDDSA.sign("EdDSA", signed.encode(), nonce=0))
    for issuer in ["rsa", "all"]:
        for algorithm in ["RS256", "PS256"]:
            # Some signatures leave room for the modulus in their 256 bytes.
            tokens = (token(issuer, {"jti": f"tok_{number}"}, algorithm=algorithm) for number in itertools.count())
            sums = ((signed, int.from_bytes(good, "big") + RSA.n) for signed, good in map(parts, tokens))
            signed, larger = next(pair for pair in sums if pair[1] < 1 << 2048)
            other(f"{issuer}/{algorithm}/s_and_the_modulus", signed, signing.big_endian(larger))
        signed, _ = parts(token(issuer, algorithm="RS256"))
        other(f"{issuer}/RS256/no_parameters", signed, RSA.sign("RS256", signed.encode(), parameters=b""))
        token_case(f"signature/{issuer}/RS256/of_PS256", token(issuer, None, {"alg": "RS256"}, "PS256"))
        signed, _ = parts(token(issuer, algorithm="PS256"))
        for length in [0, 222]:
            salted = RSA.sign("PS256", signed.encode(), salt_length=length)
            other(f"{issuer}/PS256/salt_of_{length}", signed, salted)


def flip_cases():
    """One character of a good token becomes another; of the last one, not all bits are used."""
    good = token()
    first, second = good.index("."), good.rindex(".")
    places = {0, first - 1, first, first + 1, second - 1, second, second + 1, len(good) - 2, len(good) - 1}
    alphabet = ALPHABET[10:] + ALPHABET[:10] + "-_"
    for at in sorted(places | set(range(9, len(good), len(good) // 12))):
        other = alphabet[(alphabet.index(good[at]) + 1) % 64] if good[at] != "." else "-"
        token_case(f"flipped/{at:03}", good[:at] + other + good[at + 1:])


def form_cases():
    good = token()
    header, payload, signature = good.split(".")
    longer = token(claims={"sub": "usr_22"}).split(".")[1]
    assert len(header) % 4 == 2 and len(longer) % 4 == 3, "bits are left over"
    after = lambda segment: segment[:-1] + chr(ord(segment[-1]) + 1)
    resigned = lambda header, payload: sign(f"{header}.{payload}", "EdDSA", EDDSA)
    flattened = {"protected": header, "payload": payload, "signature": signature}
    for label, text in [
        ("two_dots", ".."), ("one_segment", header), ("two_segments", f"{header}.{payload}"),
        ("four_segments", f"{good}.{signature}"), ("five_segments", f"{header}.AA.AA.{payload}.{signature}"),
        ("dot_in_front", f".{good}"), ("dot_behind", f"{good}."), ("no_header", f".{payload}.{signature}"),
        ("no_payload", f"{header}..{signature}"), ("no_payload_signed", resigned(header, "")),
        ("no_signature", f"{header}.{payload}."), ("padding_behind", f"{good}=="),
        ("padding_of_header", resigned(f"{header}==", payload)), ("padding_of_payload", resigned(header, f"{longer}=")),
        ("space_in_front", f" {good}"), ("newline_behind", f"{good}\n"), ("nul_behind", f"{good}\0"),
        ("newline_within", resigned(header, f"{payload[:4]}\n{payload[4:]}")),
        ("space_within", resigned(f"{header[:4]} {header[4:]}", payload)), ("bearer", f"Bearer {good}"),
        ("bits_left_over_in_signature", f"{header}.{payload}.{after(signature)}"),
        ("bits_left_over_in_header", resigned(after(header), payload)),
        ("bits_left_over_in_payload", resigned(header, after(longer))), ("impossible_length", f"{good}AAA"),
        ("plus", f"{good[:-1]}+"), ("slash_in_header", resigned(f"{header}/", payload)),
        ("fullwidth_dot", good.replace(".", "．", 1)), ("json", json.dumps(flattened)),
        ("byte_order_mark", f"\ufeff{good}"), ("not_utf8", good.encode() + b"\xff"), ("many_dots", (".", 65536)),
        ("too_many_dots", (".", 65537)),
    ]:
        token_case(f"form/{label}", text)


def json_cases():
    """The two texts of a token, spoiled and then signed; most only in the claims, since one reader reads both."""
    more = lambda members: lambda good: good[:-1] + b"," + members + b"}"
    nested = lambda depth: more(b'"x":' + b"[" * depth + b"]" * depth)
    many = b",".join(b'"m%d":0' % number for number in range(20))
    spoiled = {
        "byte_order_mark": lambda good: b"\xef\xbb\xbf" + good, "text_behind": lambda good: good + b"x",
        "twice": lambda good: good * 2, "array": lambda good: b"[" + good + b"]", "null": lambda _: b"null",
        "member_twice": more(b'"x":1,"x":1'), "member_twice_inside": more(b'"x":[{"y":{},"y":{}}]'),
        "nested_16": nested(15), "nested_17": nested(16), "half_a_pair": more(b'"x":"\\ud800"'),
        "not_utf8": more(b'"x":"\xff"'),
    }
    spoiled_claims = {
        "nul_behind": lambda good: good + b"\0", "nothing": lambda _: b"", "unfinished": lambda good: good[:-1],
        "text": lambda good: json.dumps(good.decode()).encode(), "comma_at_the_end": lambda good: good[:-1] + b",}",
        "single_quotes": lambda good: good.replace(b'"', b"'"), "utf16": lambda good: good.decode().encode("utf-16-le"),
        "member_twice_escaped": more(b'"x":1,"\\u0078":1'), "member_twice_among_many": more(many + b',"m7":0'),
        "many_members": more(many), "same_member_at_two_levels": more(b'"x":{"x":{"x":1}}'),
        "half_a_pair_in_a_name": more(b'"\\udc00":1'), "pair": more(b'"x":"\\ud83d\\udd11"'),
        "control_character": more(b'"x":"\t"'), "leading_zero": more(b'"x":01'), "nan": more(b'"x":NaN'),
        "too_large_a_number": more(b'"x":1e400'), "surrogate_in_utf8": more(b'"x":"\xed\xa0\x80"'),
        "overlong_utf8": more(b'"x":"\xc0\x80"'), "unknown_escape": more(b'"x":"\\x"'),
        "exp_twice": more(b'"exp":9999999999'), "iss_twice": more(b'"iss":"https://stranger.example"'),
        "escaped_name": lambda good: good.replace(b'"sub"', b'"\\u0073ub"'),
        "escaped_issuer": lambda good: good.replace(b"https://", b"https:\\/\\/"),
    }
    for label, spoil in spoiled.items():
        token_case(f"json/header/{label}", token(header=spoil))
    for label, spoil in {**spoiled, **spoiled_claims}.items():
        token_case(f"json/claims/{label}", token(claims=spoil))
    token_case("json/header/alg_twice", token(header=more(b'"alg":"none"')))
    token_case("json/header/kid_twice", token(header=more(b'"kid":"ed-1"')))
    token_case("json/header/escaped_alg", token(header=lambda good: good.replace(b"EdDSA", b"\\u0045dDSA")))


def header_cases():
    for label, crit in [("list", ["exp"]), ("empty", []), ("null", None), ("text", "exp"), ("object", {})]:
        token_case(f"header/crit_{label}", token(header={"crit": crit}))
    token_case("header/unencoded", token(header={"crit": ["b64"], "b64": False}))
    for member, value in [("b64", True), ("b64", False), ("zip", "DEF"), ("enc", "A128GCM"), ("cty", "JWT")]:
        token_case(f"header/{member}_{json.dumps(value)}", token(header={member: value}))
    ec = jwk(OTHER_ES256, "x", use="sig", key_ops=["verify"])
    for member, label, value in [
        ("jwk", "public", ec), ("jwk", "unknown_type", {"kty": "AKP", "pub": "AA"}), ("jwk", "text", "key"),
        ("jwk", "null", None), ("jwk", "no_type", {"crv": "Ed25519"}), ("jwk", "type_number", {"kty": 1}),
        ("jwk", "secret", SECRET.jwk()), ("jwk", "private", {**EDDSA.jwk(), "d": "AA"}),
        ("jwk", "x_number", {**ec, "x": 1}), ("jku", "address", "https://id.example/jwks"), ("jku", "number", 1),
        ("jku", "no_address", "not an address"), ("x5u", "address", "https://id.example/chain"), ("x5u", "object", {}),
        ("x5c", "chain", ["MIIB+/==", "MIIC"]), ("x5c", "text", "MIIB"), ("x5c", "empty", []), ("x5c", "number", [1]),
        ("x5c", "base64url", ["-_-_"]), ("x5t", "text", "AAAA"), ("x5t", "number", 1), ("x5t#S256", "array", ["AAAA"]),
    ]:
        token_case(f"header/{member}_{label}", token(header={member: value}))


def type_cases():
    for typ in ["JWT", "application/jwt", "at+jwt", "Application/AT+JWT", GONE]:
        for issuer in ["ed", "plain", "access"]:
            token_case(f"typ/{issuer}/{'gone' if typ is GONE else typ}", token(issuer, header={"typ": typ}))
    for typ in ["JWT ", "JOSE", "application/", "application/application/jwt", "logout+jwt", "dpop+jwt"]:
        token_case(f"typ/none_of_ours/{typ}", token(header={"typ": typ}))
    for label, typ in [("empty", ""), ("null", None), ("number", 1), ("array", ["JWT"])]:
        token_case(f"typ/none_of_ours/{label}", token(header={"typ": typ}))


def issuer_cases():
    token_case("issuers/none", token(), issuers="none")
    token_case("issuers/none/revoked", token(), {"revoked": True}, issuers="none")
    token_case("issuers/none/malformed", token() + "A", issuers="none")
    token_case("issuers/none/no_iss", token(claims={"iss": GONE}), issuers="none")
    ed = url("ed")
    for label, iss in [
        ("unknown", "https://evil.example"), ("slash_behind", ed + "/"), ("upper_case", ed.upper()), ("part", ed[:-8]),
        ("space_behind", ed + " "), ("nul_behind", ed + "\0"), ("empty", ""), ("no_scheme", ed[8:]),
        ("another", url("stranger")), ("gone", GONE), ("null", None), ("number", 1), ("array", [ed]),
        ("evil_first", ["https://evil.example", ed]), ("object", {ed: 1}),
    ]:
        token_case(f"iss/{label}", token(claims={"iss": iss}))


def time_cases():
    for issuer in ["ed", "leeway"]:
        for offset in [-60, -59, -1, 0, 1]:
            token_case(f"exp/{issuer}/{offset:+d}", token(issuer, {"exp": NOW + offset}))
        for name in ["nbf", "iat"]:
            for offset in [0, 1, 60, 61]:
                token_case(f"{name}/{issuer}/{offset:+d}", token(issuer, {name: NOW + offset}))
    for label, text in [
        ("text", '"1800000300"'), ("true", "true"), ("null", "null"), ("array", "[1800000300]"), ("object", "{}"),
        ("negative", "-1"), ("negative_fraction", "-0.5"), ("minus_zero", "-0"), ("zero", "0"),
        ("power_of_ten", "1.8000003e9"), ("whole_fraction", "1800000300.0"), ("half", "1800000300.5"),
        ("largest", "9007199254740991"), ("too_large", "9007199254740992"), ("65_bits", str(2**64)), ("1e300", "1e300"),
        ("1e400", "1e400"), ("400_digits", "9" * 400), ("leading_zero", "01800000300"), ("infinity", "Infinity"),
    ]:
        written = f'"exp":{text}}}'.encode()
        token_case(f"exp/written/{label}", token(claims=lambda good: good.replace(b'"exp":1800000300}', written)))
    for name in ["nbf", "iat"]:
        for label, value in [
            ("text", str(NOW)), ("null", None), ("negative", -1), ("too_large", 2**53), ("largest", 2**53 - 1),
            ("power_of_ten", 1.8e9),
        ]:
            token_case(f"{name}/written/{label}", token(claims={name: value}))
    token_case("exp/gone", token(claims={"exp": GONE}))
    for name, offset in [
        ("exp", -0.5), ("exp", 0.25), ("exp", 9.5), ("nbf", -0.5), ("nbf", 0.25), ("iat", -9.5), ("iat", 0.25),
    ]:
        token_case(f"{name}/fraction/{offset:+}", token(claims={name: NOW + offset}))
        leeway = -60 if name == "exp" else 60
        token_case(f"{name}/fraction_and_leeway/{offset:+}", token("leeway", {name: NOW + offset + leeway}))
    token_case("times/first_second", token(claims={"iat": 0, "exp": 1}), None, {"now": 0})
    token_case("times/second_second", token(claims={"iat": 0, "exp": 1}), None, {"now": 1})
    token_case("times/before_the_first", token("leeway", {"iat": 60, "nbf": 61}), None, {"now": 0})
    token_case("times/last_second", token(claims={"exp": LATEST}), None, {"now": LATEST - 1})
    token_case("times/expired_at_the_end", token(claims={"exp": LATEST}), None, {"now": LATEST})
    token_case("times/beyond_the_end", token(claims={"exp": LATEST + 9}), None, {"now": LATEST})


def audience_cases():
    for label, aud in [
        ("ours", "api"), ("other_of_ours", "https://api.example"), ("list", ["api"]), ("among_others", ["web", "api"]),
        ("another", "web"), ("none_of_several", ["web", "app"]), ("upper_case", "API"), ("space_behind", "api "),
        ("part", "api.evil.example"), ("in_one_text", "web api"), ("empty", ""), ("empty_list", []), ("gone", GONE),
        ("null", None), ("number", 1), ("object", {"api": True}), ("number_in_list", ["api", 1]),
        ("list_in_list", [["api"]]),
    ]:
        token_case(f"aud/asked/{label}", token("audience", {"aud": aud}))
    for label, aud in [("anybody", "web"), ("empty_list", []), ("null", None), ("number", 1), ("object", {})]:
        token_case(f"aud/not_asked/{label}", token(claims={"aud": aud}))


def claim_cases():
    for name in ["sub", "jti", "sid", "client_id", "org_id", "scope"]:
        for label, value in [("number", 1), ("array", ["text"])]:
            token_case(f"claims/{name}_{label}", token(claims={name: value}))
    for name in ["sub", "org_id", "scope"]:
        for label, value in [("null", None), ("empty", "")]:
            token_case(f"claims/{name}_{label}", token(claims={name: value}))
    for label, text in [
        ("unicode", "Ærø 日本 \U0001f511"), ("control", "a\0b\u0007\u007f\u0085"), ("spaces", "  usr  "),
        ("quotes", '"\\/'), ("long", "u" * 500),
    ]:
        token_case(f"claims/sub_{label}", token(claims={"sub": text}))
    for label, claims in [
        ("logout_token", {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}),
        ("at_hash", {"at_hash": "AAAA"}), ("c_hash", {"c_hash": "AAAA"}), ("use_id", {"token_use": "id"}),
        ("use_refresh", {"token_use": "refresh"}), ("use_number", {"token_use": 1}), ("type_id", {"typ": "ID"}),
        ("type_refresh", {"typ": "Refresh"}), ("type_offline", {"typ": "Offline"}), ("type_logout", {"typ": "Logout"}),
    ]:
        token_case(f"kind/{label}", token(claims=claims))


def mapping_cases():
    for label, claims in [
        ("nothing", {}), ("scope", {"scope": "read"}), ("permissions", {"permissions": ["read", "invoices:*"]}),
        ("all", {"permissions": ["c", "a"], "scp": ["b"], "scope": "a"}), ("scopes_ignored", {"scopes": ["read"]}),
        ("scp_text", {"scp": "read"}), ("scp_null", {"scp": None}), ("scp_empty", {"scp": []}),
        ("scp_empty_text", {"scp": [""]}), ("scp_two_in_one", {"scp": ["a b"]}), ("scp_number", {"scp": ["a", 1]}),
        ("permissions_object", {"permissions": {"read": True}}), ("scope_array", {"scope": ["read"]}),
        ("organization", {"o": {"id": "org_1", "rol": "admin"}}), ("organization_number", {"o": {"id": 1}}),
        ("organization_null", {"o": {"id": None}}), ("organization_text_above", {"o": "org_1"}),
        ("organization_in_array", {"o": [{"id": "org_1"}]}), ("organization_by_its_path", {"/o/id": "org_1"}),
        ("organization_null_above", {"o": None}), ("organization_empty_above", {"o": {}}),
        ("organization_by_default", {"org_id": "org_1"}), ("organization_by_default_number", {"org_id": 1}),
        ("organization_by_default_null", {"org_id": None}), ("role", {"roles": "admin"}),
        ("roles", {"roles": ["admin", "Ærø"]}), ("roles_empty", {"roles": []}), ("roles_number", {"roles": 1}),
        ("roles_null", {"roles": None}), ("roles_of_numbers", {"roles": [1]}), ("roles_object", {"roles": {"a": 1}}),
    ]:
        token_case(f"mapped/{label}", token("mapped", claims))
    roles = "https://id.example/roles"
    for label, claims in [
        ("scopes", {"scopes": ["read", "write"], "scope": "admin"}), ("scopes_text", {"scopes": "read"}),
        ("no_organization", {"org_id": "org_1"}), ("no_organization_array", {"org_id": ["org_1"]}),
        ("roles", {roles: {"app~s": ["admin"]}}), ("roles_text_above", {roles: "admin"}),
        ("roles_array_above", {roles: ["admin"]}), ("roles_null_above", {roles: None}),
        ("roles_of_another", {roles: {"app": ["admin"]}}), ("roles_number", {roles: {"app~s": 7}}),
        ("ignored", {"roles": 1, "scp": 1, "permissions": 1}),
    ]:
        token_case(f"nested/{label}", token("nested", claims))


def token_scope_cases():
    for scope, wants in [
        (GONE, [([], []), (["read"], []), ([], ["read"])]),
        ("read write", [
            (["read", "write"], []), (["read", "admin"], []), ([], ["admin", "write"]), ([], ["admin"]),
            (["read"], ["admin"]), (["READ"], []),
        ]),
        ("documents:* read", [
            (["documents:read"], []), (["documents:drafts:mine"], []), (["documents:*"], []), (["documents"], []),
            (["documents:"], []), (["documentsx:read"], []), ([], ["documents.read", "read"]),
        ]),
        ("documents:drafts:*", [(["documents:read"], []), (["documents:drafts:mine"], []), (["documents:*"], [])]),
        ("* a*b documents:**", [([], []), (["documents:read"], [])]),
    ]:
        good = token(claims={"scope": scope})
        for all_of, any_of in wants:
            name = "+".join(all_of) + ("|" + "|".join(any_of) if any_of else "")
            label = "gone" if scope is GONE else scope.replace(" ", "+")
            token_case(f"scope/{label}/asked_{name or 'nothing'}", good, None, {"all_of": all_of, "any_of": any_of})
    for label, scope in [
        ("two_spaces", "read  write"), ("space_in_front", " read"), ("space_behind", "read "), ("twice", "read read"),
        ("newline", "read\nwrite"), ("quote", 'read "write"'), ("backslash", "read\\write"), ("not_ascii", "lire é"),
        ("longest", "s" * 128), ("too_long_for_a_request", "read " + "s" * 129), ("url", "https://example.com/a"),
        ("128", " ".join(f"s{n}" for n in range(128))), ("129", " ".join(f"s{n}" for n in range(129))),
    ]:
        token_case(f"scope/written/{label}", token(claims={"scope": scope}))


def token_environment_cases():
    def each_asked(label, credential):
        for asked in [None, "live", "test", "live_prod"]:
            req = {"env": asked} if asked else {}
            token_case(f"environment/{label}/asked_{asked or 'nothing'}", credential, None, req)

    for issuer in ["live", "ed", "anywhere", "says", "says_or_any"]:
        each_asked(issuer, token(issuer))
    each_asked("live/says_test", token("live", {"env": "test"}))
    each_asked("ed/says_live", token("ed", {"env": "live"}))
    each_asked("anywhere/says_test", token("anywhere", {"env": "test"}))
    for own in ["live", "test"]:
        each_asked(f"says/{own}", token("says", {"env": own}))
        each_asked(f"says_or_any/{own}", token("says_or_any", {"app": {"env": own}}))
    for label, own in [
        ("null", None), ("number", 1), ("array", ["live"]), ("empty", ""), ("upper_case", "Live"),
        ("space_behind", "live "), ("underscore_behind", "live_"), ("two_underscores", "live__prod"),
        ("digit_in_front", "1st"), ("longest", "e" * 32), ("too_long", "e" * 33), ("not_ascii", "lïve"),
    ]:
        for asked in [None, "live"]:
            req = {"env": asked} if asked else {}
            name = f"environment/says/{label}/asked_{asked or 'nothing'}"
            token_case(name, token("says", {"env": own}), None, req)
    for label, claims in [
        ("nothing_above", {"app": {}}), ("null_above", {"app": None}), ("text_above", {"app": "live"}),
        ("null", {"app": {"env": None}}), ("elsewhere", {"env": "test"}),
    ]:
        token_case(f"environment/says_or_any/{label}", token("says_or_any", claims), None, {"env": "live"})


def token_record_cases():
    good, untold, unclear = token(), token(claims={"iat": GONE}), token(claims={"iat": "today"})
    half, late = token(claims={"iat": NOW - 9.5}), token(claims={"exp": NOW})
    for label, credential, rec in [
        ("nothing", good, {}), ("spelled_out", good, {"revoked": False, "suspended": False, "not_before": None}),
        ("revoked", good, {"revoked": True}), ("suspended", good, {"suspended": True}),
        ("both", good, {"revoked": True, "suspended": True}), ("issued_later", good, {"not_before": NOW - 11}),
        ("issued_then", good, {"not_before": NOW - 10}), ("issued_before", good, {"not_before": NOW - 9}),
        ("issued_before_and_suspended", good, {"not_before": NOW - 9, "suspended": True}),
        ("never_again", good, {"not_before": LATEST}), ("untold", untold, {"not_before": NOW - 11}),
        ("untold/first_second", untold, {"not_before": 0}), ("unclear", unclear, {"not_before": NOW - 11}),
        ("unclear/nothing", unclear, {}), ("half_a_second_later", half, {"not_before": NOW - 10}),
        ("half_a_second_before", half, {"not_before": NOW - 9}), ("revoked_and_expired", late, {"revoked": True}),
        ("suspended_and_expired", late, {"suspended": True}), ("expired", late, {}),
        ("revoked_and_not_signed", parts(good)[0] + ".", {"revoked": True}),
        ("revoked_and_of_nobody", token(claims={"iss": "https://evil.example"}), {"revoked": True}),
        ("revoked_and_malformed", good + "A", {"revoked": True}),
    ]:
        token_case(f"record/{label}", credential, rec)


def token_order_cases():
    """Everything is wrong at once; mended one by one, the next reason shows."""
    wrong = {
        "header": {"alg": "none", "kid": "nobody", "typ": "JWT", "crit": ["exp"]},
        "claims": {
            "iss": 1, "aud": GONE, "exp": "soon", "nbf": NOW + 1, "iat": NOW + 1, "sub": 1, "at_hash": "AA",
            "org_id": 1, "roles": 1, "scope": "read  write", "pad": "x" * 400,
        },
        "rec": {"revoked": True, "suspended": True, "not_before": NOW + 5},
        "req": {"env": "test", "all_of": ["write"]},
        "signer": {"key": STRANGER},
    }
    for number, (target, field, value) in enumerate([
        ("req", "now", NOW), ("header", "crit", GONE), ("claims", "iss", "https://strict.examples"),
        ("claims", "iss", url("strict")), ("claims", "pad", GONE), ("header", "alg", "EdDSA"),
        ("header", "kid", "p256"), ("header", "kid", "ed-1"), ("signer", "key", EDDSA), ("rec", "revoked", False),
        ("rec", "not_before", None), ("rec", "suspended", False), ("claims", "exp", NOW), ("claims", "exp", NOW + 300),
        ("claims", "nbf", NOW), ("claims", "iat", NOW - 10), ("header", "typ", "at+jwt"), ("claims", "aud", "web"),
        ("claims", "aud", "api"), ("claims", "sub", "usr_1"), ("claims", "at_hash", GONE),
        ("claims", "org_id", "org_1"), ("claims", "roles", ["admin"]), ("claims", "scope", "read"),
        ("req", "env", "live"), ("req", "all_of", ["read"]),
    ]):
        wrong[target][field] = value
        bad = token("strict", wrong["claims"], wrong["header"], key=wrong["signer"]["key"])
        token_case(f"reasons/{number:02}_{field if number else 'all'}", bad, dict(wrong["rec"]), dict(wrong["req"]))


def length_cases():
    for issuer, longest in [("short", 384), ("ed", 8192)]:
        for length in [longest, longest + 1]:
            token_case(f"length/{issuer}/{length}", token_of(issuer, length))


def token_of(issuer, length):
    """A token of exactly this length. A segment cannot have every length: spaces in the header make up for that."""
    for spaces in range(3):
        header = lambda good: good + b" " * spaces
        missing = length - len(token(issuer, {"pad": ""}, header))
        good = token(issuer, {"pad": "x" * (missing * 3 // 4)}, header)
        if len(good) == length:
            return good
    raise ValueError(length)


def main():
    for make in [
        parse_cases, state_cases, environment_cases, scope_cases, address_cases, rate_cases, order_cases, bound_cases,
        known_issuers_cases, valid_cases, signing_key_cases, algorithm_cases, signature_cases, flip_cases, form_cases,
        json_cases, header_cases, type_cases, issuer_cases, time_cases, audience_cases, claim_cases, mapping_cases,
        token_scope_cases, token_environment_cases, token_record_cases, token_order_cases, length_cases,
    ]:
        make()
    names = [entry["name"] for entry in cases]
    assert len(names) == len(set(names)), "a name is used twice"
    assert len(cases) >= 300
    assert {entry["verdict"].get("code") for entry in cases} == {None, *STATUS}, "every code, and allow"
    tokens = [entry["verdict"].get("code") for entry in cases if entry["name"].startswith("token/")]
    assert len(tokens) >= 150
    assert set(tokens) == {None, *STATUS} - KEYS_ONLY, "every code of tokens, and allow"
    head = {"formats": {"all": FORMATS, "none": [], "too_many": FORMATS * 7}, "issuers": {"none": [], "all": ISSUERS}}
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in cases)
    text = json.dumps(head, ensure_ascii=False)[:-1] + ',\n"cases": [\n' + lines + "\n]}\n"
    path = pathlib.Path(__file__).with_name("verdicts.json")
    if "--check" in sys.argv[1:]:
        if path.read_text() != text:
            sys.exit("verdicts.json is not what this script writes · run it again")
    else:
        path.write_text(text)
    print(f"{len(cases)} cases")


main()
