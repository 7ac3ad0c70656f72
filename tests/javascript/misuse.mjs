// What is not of the documented type is refused with a TypeError, and never read as "no limit" or
// "nothing known against it".
// Argument: the folder of the package.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const folder = process.argv[2];
const { Validator, check, initSync } = await import(pathToFileURL(join(folder, "keystile_validator.js")));
initSync({ module: readFileSync(join(folder, "keystile_validator_bg.wasm")) });

const record = { key_id: "key_" + "0".repeat(32), digest: "0".repeat(64), state: "active", env: "live" };
const key = { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" };
const issuer = { issuer: "https://id.example", algorithms: ["EdDSA"], jwks: { keys: [key] } };
const now = { now: 0 };
const validator = new Validator({ issuers: [issuer] });
const full = new Validator({
  issuers: Array.from({ length: 64 }, (_, index) => ({ ...issuer, issuer: `https://${index}.example`, tables: false })),
});
class Row {
  revoked = true;
}

const calls = {
  "an expiry that is NaN": () => check("k", { ...record, expires_at: NaN }, now),
  "a retirement that is Infinity": () => check("k", { ...record, retires_at: Infinity }, now),
  "an expiry that is a date": () => check("k", { ...record, expires_at: new Date(0) }, now),
  "an expiry that is a date of NaN": () => check("k", { ...record, expires_at: new Date(NaN) }, now),
  "an expiry that is a number object of NaN": () => check("k", { ...record, expires_at: new Number(NaN) }, now),
  "an expiry that says what it is": () => check("k", { ...record, expires_at: { toJSON: () => null } }, now),
  "a time that is a date of NaN": () => check("k", record, { now: new Date(NaN) }),
  "a use that resets at a date of NaN": () =>
    check("k", record, { now: 0, usage: { used: 1, resets_at: new Date(NaN) } }),
  "a time that is NaN": () => check("k", record, { now: NaN }),
  "a time with a fraction": () => check("k", record, { now: 0.5 }),
  "no request": () => check("k", record),
  "a member nobody knows": () => check("k", { ...record, expiresAt: 1 }, now),
  "a credential that is a number": () => check(7, record, now),
  "a scope with a space": () => check("k", record, { now: 0, all_of: ["a b"] }),
  "a token record, by the function for keys": () => check("a.b.c", { revoked: false }, now),
  "settings that are a list": () => new Validator([issuer]),
  "settings that nobody awaited": () => new Validator(Promise.resolve({ issuers: [issuer] })),
  "a setting nobody knows": () => new Validator({ issuer }),
  "formats that are an object": () => new Validator({ formats: { prefix: "hx" } }),
  "a format with a member nobody knows": () => new Validator({ formats: [{ prefixes: ["hx"] }] }),
  "issuers that are an object": () => new Validator({ issuers: issuer }),
  "an issuer among them that is null": () => new Validator({ issuers: [issuer, null] }),
  "an issuer among them that is none": () => new Validator({ issuers: [issuer, {}] }),
  "no issuer": () => validator.putIssuer(),
  "an issuer that is text": () => validator.putIssuer(JSON.stringify(issuer)),
  "an issuer without keys": () => validator.putIssuer({ ...issuer, jwks: undefined }),
  "an issuer with a member nobody knows": () => validator.putIssuer({ ...issuer, audience: "me" }),
  "a leeway that is NaN": () => validator.putIssuer({ ...issuer, leeway: NaN }),
  "a leeway of 61 seconds": () => validator.putIssuer({ ...issuer, leeway: 61 }),
  "a 65th issuer": () => full.putIssuer(issuer),
  "a name of an issuer that is an object": () => validator.removeIssuer(issuer),
  "a revocation that is a number": () => validator.check("a.b.c", { revoked: 1 }, now),
  "a revocation that is null": () => validator.check("a.b.c", { revoked: null }, now),
  "a token record with a member nobody knows": () => validator.check("a.b.c", { revokd: true }, now),
  "a token record that nobody awaited": () => validator.check("a.b.c", Promise.resolve({ revoked: true }), now),
  "a token record that is a map": () => validator.check("a.b.c", new Map([["revoked", true]]), now),
  "a token record that is a list": () => validator.check("a.b.c", [], now),
  "a token record that is an object of a class": () => validator.check("a.b.c", new Row(), now),
  "a token record that is text": () => validator.check("a.b.c", '{"revoked":true}', now),
  "a token record that is false": () => validator.check("a.b.c", false, now),
  "a time of revocation that is a date of NaN": () => validator.check("a.b.c", { not_before: new Date(NaN) }, now),
  "a time of revocation that is NaN": () => validator.check("a.b.c", { not_before: NaN }, now),
  "a time of revocation that is Infinity": () => validator.check("a.b.c", { not_before: Infinity }, now),
  "a time of revocation with a fraction": () => validator.check("a.b.c", { not_before: 0.5 }, now),
  "a key record whose id is undefined": () => validator.check("k", { ...record, key_id: undefined }, now),
  "a key record with a member of a token's": () => validator.check("k", { ...record, revoked: false }, now),
  "an expiry of a key that is NaN": () => validator.check("k", { ...record, expires_at: NaN }, now),
  "no request, by the validator": () => validator.check("k", record),
  "a credential that is an array": () => validator.check([1], record, now),
};
for (const [name, call] of Object.entries(calls)) {
  try {
    call();
  } catch (error) {
    if (!(error instanceof TypeError)) throw new Error(`${name}: ${error}`);
    if (!error.message.includes(" · ")) throw new Error(`${name}: nobody is told what to do: ${error.message}`);
    continue;
  }
  throw new Error(`${name} was accepted`);
}

function assertEqual(what, given, expected) {
  if (given !== expected) throw new Error(`${what}: ${given} instead of ${expected}`);
}

// After all this the validators are as they were, and every plain object is a record.
assertEqual("an issuer taken again", validator.putIssuer(issuer), 1);
assertEqual("an issuer with a key that cannot be used", validator.putIssuer({ ...issuer, jwks: { keys: [{ kty: "EC" }] } }), 0);
assertEqual("an issuer removed", validator.removeIssuer(issuer.issuer), true);
assertEqual("an issuer removed twice", validator.removeIssuer(issuer.issuer), false);
assertEqual("one of 64 taken again", full.putIssuer({ ...issuer, issuer: "https://0.example" }), 1);
for (const plain of [{}, Object.create(null), JSON.parse('{"revoked":false}'), null, undefined]) {
  assertEqual("an empty token record", validator.check("a.b.c", plain, now).code, "malformed");
}
// What reading an argument runs may call the validator again; the outer call refuses the proxy.
let inner;
const request = new Proxy(now, { ownKeys: (target) => {
  inner = validator.check("a.b.c", null, now).code;
  return Reflect.ownKeys(target);
} });
try {
  validator.check("a.b.c", null, request);
  throw new Error("a proxy was accepted");
} catch (error) {
  if (!(error instanceof TypeError)) throw error;
}
assertEqual("a call within a call", inner, "malformed");
assertEqual("a call after it", validator.check("a.b.c", null, now).code, "malformed");
validator.free();
full.free();

process.stdout.write(`${Object.keys(calls).length} refused`);
