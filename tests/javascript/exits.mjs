// After any number of calls that end abnormally the verdicts are right, and memory stays small.
// Argument: the folder of the package.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const EXITS = 100_000;
const MAX_PAGES = 1_024;
const folder = process.argv[2];
const wasm = readFileSync(join(folder, "keystile_validator_bg.wasm"));
const script = pathToFileURL(join(folder, "keystile_validator.js"));

// The memories of the instances that the package makes, and a way to have a call fail as a trap does.
const memories = [];
let failing = 0;
const { Instance } = WebAssembly;
WebAssembly.Instance = function (module) {
  const { exports } = new Instance(module);
  memories.push(new WeakRef(exports.memory));
  if (memories.length > 16) memories.shift();
  const trap = (name) => (...given) => {
    if (failing === 0) return exports[name](...given);
    failing -= 1;
    throw new WebAssembly.RuntimeError("unreachable");
  };
  return {
    exports: { ...exports, keystile_check: trap("keystile_check"), keystile_put_issuer: trap("keystile_put_issuer") },
  };
};
const { Validator, check, initSync } = await import(script);
initSync({ module: wasm });

function assertEqual(what, given, expected) {
  if (given !== expected) throw new Error(`${what}: ${given} instead of ${expected}`);
}

// The module itself says how far its memory may grow: 64 MiB.
function maximumOfMemory(module) {
  let at = 8;
  const number = () => {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = module[at++];
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
  };
  while (at < module.length) {
    const id = module[at++];
    const length = number();
    if (id !== 5) {
      at += length;
      continue;
    }
    assertEqual("memories", number(), 1);
    assertEqual("limits with a maximum", number(), 1);
    number();
    return number();
  }
}
assertEqual("the most pages of memory", maximumOfMemory(wasm), MAX_PAGES);
assertEqual("imports of the module", WebAssembly.Module.imports(new WebAssembly.Module(wasm)).length, 0);

const secret = "imported secret";
const digest = createHash("sha256").update(secret).digest("hex");
const key = { key_id: "key_" + "0".repeat(32), digest, state: "active", env: "live" };
const jwk = { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" };
const issuer = { issuer: "https://id.example", algorithms: ["EdDSA"], audiences: ["me"], tables: false, jwks: { keys: [jwk] } };
const now = { now: 100 };
const token = [{ alg: "EdDSA" }, { iss: issuer.issuer, exp: 200 }]
  .map((part) => Buffer.from(JSON.stringify(part)).toString("base64url"))
  .concat(Buffer.alloc(64).toString("base64url"))
  .join(".");
const validator = new Validator({ issuers: [issuer] });

function assertSound(after) {
  for (const judge of [check, (...given) => validator.check(...given)]) {
    assertEqual(`a key, after ${after}`, judge(secret, key, now).verdict, "allow");
    assertEqual(`a revoked key, after ${after}`, judge(secret, { ...key, state: "revoked" }, now).code, "revoked");
  }
  // The issuers are still, or again, those of the validator.
  assertEqual(`a token, after ${after}`, validator.check(token, null, now).code, "bad_signature");
  for (const memory of memories) {
    const pages = (memory.deref()?.buffer.byteLength ?? 0) / 65_536;
    if (pages > 64) throw new Error(`${pages} pages of memory after ${after}`);
  }
}
assertSound("nothing");

const own = () => {
  throw new Error("own");
};
const unread = { get now() { return own(); } };
const trapped = new Proxy({}, { getPrototypeOf: own });
const hidden = new Proxy({}, { ownKeys: own });
const spelled = { toString: own, [Symbol.toPrimitive]: own };
const reentrant = new Proxy(now, { ownKeys() { check(secret, key, now); return own(); } });
const exits = {
  "a getter that throws": () => validator.check(secret, key, unread),
  "a proxy that throws": () => validator.check(secret, trapped, now),
  "a proxy that throws later": () => validator.check(secret, hidden, now),
  "a toString that throws": () => validator.check(spelled, key, now),
  "a name with a toString that throws": () => validator.removeIssuer(spelled),
  "a member of a wrong type": () => validator.check(secret, { ...key, state: 1 }, now),
  "no request": () => validator.check(secret, key),
  "an issuer that is none": () => validator.putIssuer({}),
  "settings that are none": () => new Validator([]),
  "a call within a call that throws": () => validator.check(secret, key, reentrant),
  "the function, a getter that throws": () => check(secret, key, unread),
  "the function, a member of a wrong type": () => check(secret, { ...key, state: 1 }, now),
  "the function, formats of a wrong type": () => check(secret, key, now, [1]),
};
let count = 0;
for (const [name, exit] of Object.entries(exits)) {
  for (let time = 0; time < EXITS; time += 1) {
    try {
      exit();
    } catch (error) {
      if (error instanceof TypeError) continue;
      throw error;
    }
    throw new Error(`${name} was accepted`);
  }
  assertSound(name);
  count += 1;
}

// An instance that has failed is not used again; the verdict meanwhile is `unavailable`, in each member as
// the validator itself gives it.
const spoilt = check(secret, { ...key, owner: "" }, now);
for (let time = 0; time < 1_000; time += 1) {
  failing = 1;
  const verdict = check(secret, key, now);
  assertEqual("a check that traps", JSON.stringify(verdict), JSON.stringify(spoilt));
  assertEqual("the next check", check(secret, key, now).verdict, "allow");
  failing = 2;
  assertEqual("a validator's check that traps", validator.check(secret, key, now).code, "unavailable");
  assertEqual("a fresh instance that traps", validator.check(secret, key, now).code, "unavailable");
  assertEqual("a token, by a fresh instance", validator.check(token, null, now).code, "bad_signature");
}
assertSound("traps");

// An issuer that was removed does not come back with a fresh instance.
const other = new Validator({ issuers: [issuer] });
failing = 1;
assertEqual("a check that traps", other.check(token, null, now).code, "unavailable");
assertEqual("an issuer removed while there is no instance", other.removeIssuer(issuer.issuer), true);
assertEqual("its token", other.check(token, null, now).code, "unknown_issuer");
other.free();
try {
  other.check(secret, key, now);
  throw new Error("a validator that was freed has answered");
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
}

// What is too long is measured, and not copied.
const long = "x".repeat(500_000_000);
for (const credential of [long, new Uint8Array(50_000_000), "x".repeat(65_537), "é".repeat(65_536), "\0".repeat(65_537)]) {
  for (const record of [key, null]) {
    assertEqual("a credential that is too long", validator.check(credential, record, now).code, "malformed");
  }
  assertEqual("a credential that is too long", check(credential, key, now).code, "malformed");
}
const longest = "x".repeat(65_536);
const ofLongest = { ...key, digest: createHash("sha256").update(longest).digest("hex") };
assertEqual("the longest credential", check(longest, ofLongest, now).verdict, "allow");
for (const call of [
  () => check(secret, { ...key, owner: long }, now),
  () => check(secret, key, { now: 100, address: long }),
  () => validator.putIssuer({ ...issuer, issuer: long }),
  () => check(secret, { ...key, owner: "é".repeat(200_000) }, now),
]) {
  try {
    call();
    throw new Error("a text that is too long was accepted");
  } catch (error) {
    if (!(error instanceof TypeError) || !error.message.includes("too long")) throw error;
  }
}
assertEqual("an issuer with a name that is too long", validator.removeIssuer(long), false);
assertSound("what is too long");

process.stdout.write(`${count} kinds of exits, ${EXITS} times each`);
