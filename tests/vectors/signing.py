"""Test keys that sign tokens, written from the standards with Python's integers.

Nothing here is secret or constant in time. Keys, nonces and salts come out of hashes of names and
messages, so that the same tokens come out each time.
"""

import base64
import functools
import hashlib
import hmac
import itertools
from collections import namedtuple

INTEGER, BIT_STRING, OCTET_STRING, SEQUENCE, NULL = 0x02, 0x03, 0x04, 0x30, b"\x05\x00"
RSA_ENCRYPTION = bytes.fromhex("06092a864886f70d010101")
HASHES = {f"sha{size}": bytes.fromhex(f"060960864801650304020{last}") for size, last in [(256, 1), (384, 2), (512, 3)]}
ED25519_PRIME = 2**255 - 19
ED25519_ORDER = 2**252 + 27742317777372353535851937790883648493
ED25519_D = -121665 * pow(121666, -1, ED25519_PRIME) % ED25519_PRIME
SMALL, SIEVED = 20_000, 6_000


def b64(data):
    """base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def big_endian(number, length=None):
    return number.to_bytes(length or (number.bit_length() + 7) // 8, "big")


def hash_of(length, *parts):
    """So many bytes out of texts and bytes."""
    parts = [part.encode() if isinstance(part, str) else part for part in parts]
    return hashlib.shake_256(b"\0".join(parts)).digest(length)


def der(tag, *parts):
    """A value in DER (X.690, sections 8.1 and 10.1)."""
    body = b"".join(parts)
    size = big_endian(len(body), 1) if len(body) < 128 else big_endian(len(body))
    if len(body) >= 128:
        size = bytes([0x80 | len(size)]) + size
    return bytes([tag]) + size + body


def der_integer(number):
    """With room for the sign bit."""
    return der(INTEGER, big_endian(number, number.bit_length() // 8 + 1))


class Secret:
    """A shared secret: HMAC (RFC 2104), as RFC 7518, section 3.2, has it."""

    def __init__(self, secret):
        self.secret = secret

    def jwk(self):
        return {"kty": "oct", "k": b64(self.secret)}

    def sign(self, algorithm, message):
        return hmac.digest(self.secret, message, sha(algorithm))


# --- Ed25519 (RFC 8032, section 5.1; RFC 8037 for JWS) -------------------------------------------


class Ed25519:
    def __init__(self, name):
        """Section 5.1.5."""
        digest = hashlib.sha512(hash_of(32, name)).digest()
        self.scalar = int.from_bytes(digest[:32], "little") & ((1 << 254) - 8) | 1 << 254
        self.prefix = digest[32:]
        self.public = ed25519_point(self.scalar)

    def jwk(self):
        return {"kty": "OKP", "crv": "Ed25519", "x": b64(self.public)}

    def sign(self, _algorithm, message, nonce=None):
        """Section 5.1.6. With a nonce of 0, R is the neutral element: only a lax verifier takes that."""
        if nonce is None:
            nonce = ed25519_hash(self.prefix, message)
        r = ed25519_point(nonce)
        s = (nonce + ed25519_hash(r, self.public, message) * self.scalar) % ED25519_ORDER
        return r + s.to_bytes(32, "little")


def ed25519_hash(*parts):
    return int.from_bytes(hashlib.sha512(b"".join(parts)).digest(), "little") % ED25519_ORDER


def ed25519_point(scalar):
    """So many times the base point, encoded (section 5.1.2)."""
    point = (0, 1, 1, 0)
    for bit, power in enumerate(ed25519_powers()):
        if scalar >> bit & 1:
            point = ed25519_add(point, power)
    x, y, z, _ = point
    inverse = pow(z, -1, ED25519_PRIME)
    x, y = x * inverse % ED25519_PRIME, y * inverse % ED25519_PRIME
    return (y | (x & 1) << 255).to_bytes(32, "little")


@functools.cache
def ed25519_powers():
    """The base point doubled 0 to 254 times. Its y is 4/5, and of its two x it has the even one."""
    prime = ED25519_PRIME
    y = 4 * pow(5, -1, prime) % prime
    square = (y * y - 1) * pow(ED25519_D * y * y + 1, -1, prime) % prime
    x = pow(square, (prime + 3) // 8, prime)  # section 5.1.3
    if x * x % prime != square:
        x = x * pow(2, (prime - 1) // 4, prime) % prime
    x = x if x % 2 == 0 else prime - x
    powers = [(x, y, 1, x * y % prime)]
    while len(powers) < 255:
        powers.append(ed25519_add(powers[-1], powers[-1]))
    return powers


def ed25519_add(one, other):
    """Section 5.1.4, in extended coordinates; good for doubling too."""
    (x1, y1, z1, t1), (x2, y2, z2, t2), prime = one, other, ED25519_PRIME
    a, b = (y1 - x1) * (y2 - x2) % prime, (y1 + x1) * (y2 + x2) % prime
    c, d = 2 * t1 * t2 * ED25519_D % prime, 2 * z1 * z2 % prime
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % prime, g * h % prime, f * g % prime, e * h % prime


# --- ECDSA (FIPS 186-5, section 6.4; RFC 7518, section 3.4, for JWS) -----------------------------


class Ecdsa:
    def __init__(self, curve, name):
        self.curve = curve
        self.secret = int.from_bytes(hash_of(curve.size + 8, name), "big") % (curve.order - 1) + 1
        self.public = curve_point(curve, self.secret)

    def jwk(self):
        x, y = (b64(big_endian(coordinate, self.curve.size)) for coordinate in self.public)
        return {"kty": "EC", "crv": self.curve.name, "x": x, "y": y}

    def sign(self, _algorithm, message):
        """Section 6.4.1, the nonce out of a hash; r and s one behind the other."""
        order, size = self.curve.order, self.curve.size
        digest = int.from_bytes(hashlib.new(self.curve.hash, message).digest(), "big")
        nonce = int.from_bytes(hash_of(size + 8, big_endian(self.secret), message), "big") % (order - 1) + 1
        r = curve_point(self.curve, nonce)[0] % order
        s = pow(nonce, -1, order) * (digest + r * self.secret) % order
        return big_endian(r, size) + big_endian(s, size)

    def numbers(self, signature):
        """The r and s of a signature."""
        return tuple(int.from_bytes(half, "big") for half in (signature[:self.curve.size], signature[self.curve.size:]))

    def twin(self, signature):
        """The other signature that is as good: with -s for s."""
        r, s = self.numbers(signature)
        return big_endian(r, self.curve.size) + big_endian(self.curve.order - s, self.curve.size)


Curve = namedtuple("Curve", "name size prime b order base hash")


def on_curve(curve, x, y):
    """y² = x³ - 3x + b (SP 800-186, section 3.2.1)."""
    return (y * y - x**3 + 3 * x - curve.b) % curve.prime == 0


def curve_point(curve, scalar):
    """So many times the base point."""
    point = None
    for bit, power in enumerate(curve_powers(curve)):
        if scalar >> bit & 1:
            point = curve_add(curve, point, power) if point else power
    return point


@functools.cache
def curve_powers(curve):
    powers = [curve.base]
    while len(powers) < curve.order.bit_length():
        powers.append(curve_add(curve, powers[-1], powers[-1]))
    return powers


def curve_add(curve, one, other):
    """SP 800-186, appendix A.1.1. The sum is never the neutral element here: every scalar is below the order."""
    (x1, y1), (x2, y2), prime = one, other, curve.prime
    rise, run = (3 * x1 * x1 - 3, 2 * y1) if one == other else (y2 - y1, x2 - x1)
    slope = rise * pow(run, -1, prime) % prime
    x = (slope * slope - x1 - x2) % prime
    return x, (slope * (x1 - x) - y1) % prime


P256 = Curve(
    "P-256", 32, 2**256 - 2**224 + 2**192 + 2**96 - 1,
    0x5ac635d8aa3a93e7b3ebbd55769886bc651d06b0cc53b0f63bce3c3e27d2604b,
    0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551,
    (0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296,
     0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5),
    "sha256",
)
P384 = Curve(
    "P-384", 48, 2**384 - 2**128 - 2**96 + 2**32 - 1,
    0xb3312fa7e23ee7e4988e056be3f82d19181d9c6efe8141120314088f5013875ac656398d8a2ed19d2a85c8edd3ec2aef,
    0xffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf581a0db248b0a77aecec196accc52973,
    (0xaa87ca22be8b05378eb1c71ef320ad746e1d3b628ba79b9859f741e082542a385502f25dbf55296c3a545e3872760ab7,
     0x3617de4a96262c6f5d9e98bf9292dc29f8f41dbd289a147ce9da3113b5f0b8c00a60b1ce1d7e819d7a431d7c90ea0e5f),
    "sha384",
)


# --- RSA (RFC 8017; RFC 7518, sections 3.3 and 3.5, for JWS) -------------------------------------


class Rsa:
    def __init__(self, name, bits=2048, exponent=65537):
        self.p, self.q = prime(name + "/p", bits // 2), prime(name + "/q", bits // 2)
        self.n, self.e, self.size = self.p * self.q, exponent, bits // 8
        self.secret = pow(exponent, -1, (self.p - 1) * (self.q - 1))

    def jwk(self):
        return {"kty": "RSA", "n": b64(big_endian(self.n)), "e": b64(big_endian(self.e))}

    def pem(self):
        """The public key as text (RFC 7468, section 13; RFC 8017, appendix A.1.1)."""
        key = der(SEQUENCE, der_integer(self.n), der_integer(self.e))
        info = der(SEQUENCE, der(SEQUENCE, RSA_ENCRYPTION, NULL), der(BIT_STRING, b"\0", key))
        text = base64.b64encode(info).decode()
        lines = [text[at:at + 64] for at in range(0, len(text), 64)]
        return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])

    def sign(self, algorithm, message, parameters=NULL, salt_length=None):
        """Section 8.2.1 for RS, 8.1.1 for PS. With the last two it is what only a lax verifier takes."""
        if algorithm.startswith("RS"):
            return self.power(pkcs1(algorithm, message, self.size, parameters))
        length = hashlib.new(sha(algorithm)).digest_size if salt_length is None else salt_length
        return self.power(pss(algorithm, message, self.size, hash_of(length, "salt", message)))

    def power(self, encoded):
        """Section 5.2.1, by the two primes."""
        message = int.from_bytes(encoded, "big")
        m1, m2 = (pow(message, self.secret % (factor - 1), factor) for factor in (self.p, self.q))
        return big_endian(m2 + (m1 - m2) * pow(self.q, -1, self.p) % self.p * self.q, self.size)


def pkcs1(algorithm, message, size, parameters):
    """EMSA-PKCS1-v1_5 (section 9.2); the parameters of the hash are NULL."""
    name = sha(algorithm)
    digest = hashlib.new(name, message).digest()
    info = der(SEQUENCE, der(SEQUENCE, HASHES[name], parameters), der(OCTET_STRING, digest))
    return b"\0\1" + b"\xff" * (size - len(info) - 3) + b"\0" + info


def pss(algorithm, message, size, salt):
    """EMSA-PSS (section 9.1.1) for a modulus of whole bytes, which leaves one bit of the first unused."""
    name = sha(algorithm)
    digest = hashlib.new(name, bytes(8) + hashlib.new(name, message).digest() + salt).digest()
    block = bytes(size - len(salt) - len(digest) - 2) + b"\1" + salt
    mask = mgf1(name, digest, len(block))
    masked = bytearray(byte ^ other for byte, other in zip(block, mask))
    masked[0] &= 0x7f
    return bytes(masked) + digest + b"\xbc"


def mgf1(name, seed, length):
    """Appendix B.2.1."""
    mask = b""
    for counter in itertools.count():
        if len(mask) >= length:
            return mask[:length]
        mask += hashlib.new(name, seed + big_endian(counter, 4)).digest()


@functools.cache
def prime(name, bits):
    """A prime with its two highest bits set, so that a product of two has all its bits; and 5 modulo 6, so that 3
    can be an exponent. Sieved, then by Miller and Rabin (FIPS 186-5, appendix B.3.1)."""
    start = int.from_bytes(hash_of(bits // 8, name), "big") | 3 << bits - 2
    start += 5 - start % 6
    candidates = bytearray(b"\1") * SIEVED
    for factor in small_primes():
        if factor > 3:
            first = -start * pow(6, -1, factor) % factor
            candidates[first::factor] = bytes(len(range(first, SIEVED, factor)))
    numbers = (start + 6 * at for at, candidate in enumerate(candidates) if candidate)
    return next(number for number in numbers if is_prime(number))


def small_primes():
    sieve = bytearray(b"\1") * SMALL
    for number in range(2, SMALL):
        if sieve[number]:
            yield number
            sieve[number * number::number] = bytes(len(range(number * number, SMALL, number)))


def is_prime(number):
    twos = ((number - 1) & (1 - number)).bit_length() - 1
    for base in [2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37]:
        power = pow(base, (number - 1) >> twos, number)
        if power == 1:
            continue
        for _ in range(twos):
            if power == number - 1:
                break
            power = power * power % number
        else:
            return False
    return True


def sha(algorithm):
    """The hash of an algorithm whose name has its size in it."""
    return f"sha{algorithm[2:]}"
