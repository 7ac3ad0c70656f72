// The memory of the module holds the most that may be put into it; and when there is none left all the same, what
// fails is denied, and a fresh instance goes on. Argument: the folder of the package.

import { createHash, generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const PAGE = 65_536;
const MAX_PAGES = 1_024;
const MAX_ISSUERS = 64;
const MAX_KEYS = 64;
const MAX_CREDENTIAL = 65_536;
const folder = process.argv[2];

// The memories of the instances that the package makes.
const memories = [];
const { Instance } = WebAssembly;
WebAssembly.Instance = function (module) {
  const instance = new Instance(module);
  memories.push(instance.exports.memory);
  return instance;
};
const { Validator, initSync } = await import(pathToFileURL(join(folder, "keystile_validator.js")));
initSync({ module: readFileSync(join(folder, "keystile_validator_bg.wasm")) });

function assertEqual(what, given, expected) {
  if (given !== expected) throw new Error(`${what}: ${given} instead of ${expected}`);
}

const now = { now: 100 };
const secret = "imported secret";
const sha256 = (text) => createHash("sha256").update(text).digest("hex");
const key = { key_id: "key_" + "0".repeat(32), digest: sha256(secret), state: "active", env: "live" };
const revoked = { ...key, state: "revoked" };

// Documents that take the most: keys with tables, then the longest moduli; names and key ids of full length.
const p384 = (kid) => ({ ...generateKeyPairSync("ec", { namedCurve: "P-384" }).publicKey.export({ format: "jwk" }), kid });
const n = Buffer.alloc(1_024, 0xc3).toString("base64url");
const keys = Array.from({ length: MAX_KEYS }, (_, number) => {
  const kid = `${number}`.padEnd(256, "x");
  return number < 16 ? p384(kid) : { kid, kty: "RSA", alg: "RS512", e: "AQAB", n };
});
const issuer = (number) => `https://id.example/${number}/`.padEnd(256, "x");
const document = (number, tables) => ({
  issuer: issuer(number), algorithms: ["ES384", "RS512"], audiences: ["me"], tables, jwks: { keys },
});
const encode = (part) => Buffer.from(JSON.stringify(part)).toString("base64url");
const codeOf = (validator, number) => {
  const parts = [encode({ alg: "ES384", kid: keys[0].kid }), encode({ iss: issuer(number), aud: "me", exp: 200 })];
  return validator.check([...parts, Buffer.alloc(96, 1).toString("base64url")].join("."), null, now).code;
};

const most = new Validator();
for (let number = 0; number < MAX_ISSUERS; number += 1) {
  assertEqual("keys in use", most.putIssuer(document(number, true)), MAX_KEYS);
}
assertEqual("the first issuer of the most", codeOf(most, 0), "bad_signature");
assertEqual("the last issuer of the most", codeOf(most, MAX_ISSUERS - 1), "bad_signature");
assertEqual("a key beside the most", most.check(secret, key, now).verdict, "allow");
assertEqual("instances for it", memories.length, 1);
most.free();

// Nothing is left: others have grown the memory to its maximum, and issuers fill what was left in it.
const exhaust = () => {
  const memory = memories.at(-1);
  memory.grow(MAX_PAGES - memory.buffer.byteLength / PAGE);
};
/** A validator with an issuer for which there was memory, and with as many more as fit without growing it. */
function filled(most) {
  const validator = new Validator({ issuers: [document(0, false)] });
  exhaust();
  let taken = 1;
  while (taken < most) {
    try {
      validator.putIssuer(document(taken, false));
    } catch (error) {
      return { validator, taken, error };
    }
    taken += 1;
  }
  return { validator, taken, error: undefined };
}
function assertSound(what, { validator, taken }) {
  assertEqual(`a key, after ${what}`, validator.check(secret, key, now).verdict, "allow");
  assertEqual(`a revoked key, after ${what}`, validator.check(secret, revoked, now).code, "revoked");
  for (let number = 0; number < taken; number += 1) {
    assertEqual(`an issuer, after ${what}`, codeOf(validator, number), "bad_signature");
  }
  assertEqual(`an issuer that was not taken, after ${what}`, codeOf(validator, taken), "unknown_issuer");
}

const overfull = filled(MAX_ISSUERS);
const { error } = overfull;
if (error instanceof TypeError || !/keeps the issuers that it had/.test(error?.message)) {
  throw new Error(`an issuer for which there is no memory: ${error}`);
}
assertSound("an issuer that failed", overfull);

// Arguments of full length, which are refused as soon as they are read: there must be room for them first.
const checkLargest = ({ validator }) => {
  const text = "\0".repeat(43_000);
  return validator.check("x".repeat(MAX_CREDENTIAL), { ...key, owner: text }, { ...now, address: text });
};
const full = filled(overfull.taken);
assertEqual("as many issuers as fit", full.error, undefined);
const instances = memories.length;
assertEqual("a check for which there is no memory", checkLargest(full).code, "unavailable");
assertSound("a check that failed", full);
assertEqual("instances since", memories.length, instances + 1);
try {
  checkLargest(full);
  throw new Error("an owner of control characters was accepted");
} catch (refusal) {
  if (!(refusal instanceof TypeError)) throw refusal;
}
process.stdout.write("without memory nothing is allowed");
