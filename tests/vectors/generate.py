#!/usr/bin/env python3
"""Writes verdicts.json: cases for the validator, each with the verdict it must give.

The expected verdicts come from the small model in `judge` below, which shares no code with the
validator: SHA-256 and CRC-32 are those of Python's standard library.

    generate.py          writes verdicts.json beside this file
    generate.py --check  exits 1 when the file is not what would be written
"""

import hashlib
import ipaddress
import json
import pathlib
import random
import sys
import zlib

ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
NOW = 1_800_000_000
STATUS = {
    "missing_credential": 401, "malformed": 401, "unknown_key": 401, "revoked": 401, "suspended": 401,
    "expired": 401, "not_yet_valid": 401, "rotated": 401, "insufficient_scope": 403,
    "wrong_environment": 403, "address_not_allowed": 403, "rate_limited": 429, "unavailable": 503,
}
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


# --- the model -----------------------------------------------------------------------------------


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


def address_of(text):
    address = ipaddress.ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


def judge(data, rec, req, formats):
    def deny(code, **more):
        return {"verdict": "deny", "code": code, "status": STATUS[code], **more}

    too_large = len(formats) > 32 or len(req.get("all_of", [])) > 32 or len(req.get("any_of", [])) > 32
    owner = (rec or {}).get("owner")
    if rec and (len(rec.get("scopes", [])) > 64 or len(rec.get("addresses", [])) > 32):
        too_large = True
    if owner is not None and (not 1 <= len(owner.encode()) <= 254 or any(ord(c) < 32 or 127 <= ord(c) < 160 for c in owner)):
        too_large = True
    if too_large:
        return deny("unavailable")
    if not data:
        return deny("missing_credential")
    if len(data) > 65536:
        return deny("malformed")
    if rec is None or rec["digest"] != sha256(data):
        text = data.decode("latin-1")
        known = any(looks_like(form, text) is not None for form in formats)
        return deny("unknown_key" if known else "malformed")
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
    has = lambda required: any(covers(granted, required) for granted in rec.get("scopes", []))
    wanted = req.get("any_of", [])
    if not all(has(s) for s in req.get("all_of", [])) or (wanted and not any(has(s) for s in wanted)):
        return deny("insufficient_scope")
    rate, usage = rec.get("rate"), req.get("usage")
    if rate and usage and usage["used"] >= rate["limit"] and now < usage["resets_at"]:
        return deny("rate_limited", retry_after=min(usage["resets_at"] - now, 2**32 - 1))
    return {
        "verdict": "allow",
        "principal": {
            "kind": "api_key", "key_id": rec["key_id"], "owner": owner, "env": rec["env"],
            "scopes": rec.get("scopes", []), "expires_at": rec.get("expires_at"),
        },
    }


# --- the cases -----------------------------------------------------------------------------------

cases = []


def case(name, credential, rec=None, req=None, formats="all"):
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
    entry |= {"record": rec, "request": req, "formats": formats, "verdict": judge(data, rec, req, known)}
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


def main():
    for make in [parse_cases, state_cases, environment_cases, scope_cases, address_cases, rate_cases, order_cases, bound_cases]:
        make()
    names = [entry["name"] for entry in cases]
    assert len(names) == len(set(names)), "a name is used twice"
    assert len(cases) >= 300
    assert {entry["verdict"].get("code") for entry in cases} == {None, *STATUS}, "every code, and allow"
    head = {"formats": {"all": FORMATS, "none": [], "too_many": FORMATS * 7}}
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
