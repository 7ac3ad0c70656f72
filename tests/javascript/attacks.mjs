// A member that JavaScript hides must not be left out: that would allow. Each way of hiding one is tried
// on every argument; each must throw a TypeError that says what to do. Afterwards prototypes and built-in
// functions are changed, and the verdicts must stay what they were.
// Argument: the folder of the package.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { runInNewContext } from "node:vm";

const folder = process.argv[2];
const { Validator, check, initSync } = await import(pathToFileURL(join(folder, "keystile_validator.js")));
initSync({ module: readFileSync(join(folder, "keystile_validator_bg.wasm")) });

const secret = "imported secret";
const digest = createHash("sha256").update(secret).digest("hex");
const key = { key_id: "key_" + "0".repeat(32), digest, state: "active", env: "live" };
const jwk = { kty: "OKP", crv: "Ed25519", x: "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo" };
const issuer = { issuer: "https://id.example", algorithms: ["EdDSA"], audiences: ["me"], jwks: { keys: [jwk] } };
const format = { prefix: "hx", environments: ["live"], body: 30, checksum: "crc32" };
const now = { now: 100 };
const validator = new Validator();

// Each argument: a plain object, a member that can refuse and its value, and a list in it, if it has one.
const targets = {
  "key record": [{ ...key, scopes: ["a"] }, "expires_at", 50, "scopes", (it) => check(secret, it, now)],
  "key record of a validator": [{ ...key, scopes: ["a"] }, "expires_at", 50, "scopes", (it) => validator.check(secret, it, now)],
  "token record": [{}, "revoked", true, null, (it) => validator.check("a.b.c", it, now)],
  request: [{ now: 100, all_of: ["a"] }, "env", "test", "all_of", (it) => check(secret, key, it)],
  "request of a validator": [{ now: 100, all_of: ["a"] }, "usage", { used: 1, resets_at: 200 }, "all_of", (it) => validator.check(secret, key, it)],
  format: [format, "body", 30, "environments", (it) => check(secret, key, now, [it])],
  "format of a validator": [format, "body", 30, "environments", (it) => new Validator({ formats: [it] })],
  issuer: [issuer, "audiences", ["me"], "algorithms", (it) => validator.putIssuer(it)],
  "issuer of the settings": [issuer, "typ", "JWT", "algorithms", (it) => new Validator({ issuers: [it] })],
  settings: [{ formats: [format] }, "issuers", [issuer], "formats", (it) => new Validator(it)],
};
const define = (base, name, member) => Object.defineProperty({ ...base }, name, { configurable: true, ...member });
const withPrototype = (base, prototype) => Object.assign(Object.create(prototype), base);
class Row {}
class Bare extends null {}
Object.defineProperty(Bare, Symbol.hasInstance, { value: () => false });
const disguised = (it) => Object.setPrototypeOf(it, Object.prototype);
const bare = (base) => Object.assign(Object.create(Bare.prototype), base);

const objects = {
  "a function as a member": (base, name, value) => ({ ...base, [name]: () => value }),
  "a symbol as a member": (base, name) => ({ ...base, [name]: Symbol("x") }),
  "undefined as a member": (base, name) => ({ ...base, [name]: undefined }),
  "a bigint as a member": (base, name) => ({ ...base, [name]: 50n }),
  "a boxed number as a member": (base, name) => ({ ...base, [name]: new Number(50) }),
  "a boxed string as a member": (base, name) => ({ ...base, [name]: new String("x") }),
  "a boxed boolean as a member": (base, name) => ({ ...base, [name]: new Boolean(true) }),
  "a date as a member": (base, name) => ({ ...base, [name]: new Date(0) }),
  "a promise as a member": (base, name, value) => ({ ...base, [name]: Promise.resolve(value) }),
  "NaN as a member": (base, name) => ({ ...base, [name]: NaN }),
  "a fraction as a member": (base, name) => ({ ...base, [name]: 0.5 }),
  "a number that is not exact": (base, name) => ({ ...base, [name]: 2 ** 53 }),
  "an object with toJSON as a member": (base, name) => ({ ...base, [name]: { toJSON: () => null } }),
  "toJSON of its own": (base) => ({ ...base, toJSON: () => base }),
  "an object of a class": (base, name, value) => Object.assign(new Row(), base, { [name]: value }),
  "an object of a class without a prototype": (base, name, value) => bare({ ...base, [name]: value }),
  "a class with toJSON": (base) => withPrototype(base, { toJSON: () => base }),
  "an inherited member": (base, name, value) => withPrototype(base, { [name]: value }),
  "a member inherited from a bare object": (base, name, value) => withPrototype(base, Object.assign(Object.create(null), { [name]: value })),
  "a forged Object.prototype": (base, name, value) => {
    const prototype = Object.assign(Object.create(null), { [name]: value });
    function Forged() {}
    Object.defineProperty(Forged, "prototype", { value: prototype, writable: false });
    Object.defineProperty(Forged, "name", { value: "Object" });
    Object.defineProperty(prototype, "constructor", { value: Forged });
    return withPrototype(base, prototype);
  },
  "a getter": (base, name, value) => define(base, name, { enumerable: true, get: () => value }),
  "a getter that throws": (base, name) => define(base, name, { enumerable: true, get() { throw new Error("own"); } }),
  "a setter": (base, name) => define(base, name, { enumerable: true, set() {} }),
  "a member that is not enumerable": (base, name, value) => define(base, name, { enumerable: false, value }),
  "a member whose name is a symbol": (base, name, value) => ({ ...base, [Symbol(name)]: value }),
  "a member nobody knows": (base, name, value) => ({ ...base, [`${name} `]: value }),
  "a member named __proto__": (base, name, value) => define(base, "__proto__", { enumerable: true, value: { [name]: value } }),
  "a proxy": (base, name, value) => new Proxy({ ...base, [name]: value }, {}),
  "a proxy that hides a member": (base, name, value) =>
    new Proxy({ ...base, [name]: value }, { ownKeys: () => Reflect.ownKeys(base) }),
  "a proxy that shows a member once": (base, name, value) => {
    let asked = 0;
    return new Proxy({ ...base, [name]: value }, { ownKeys: (it) => (asked++ ? Reflect.ownKeys(it) : Reflect.ownKeys(base)) });
  },
  "a proxy that throws": (base) => new Proxy(base, { ownKeys() { throw new Error("own"); } }),
  "a revoked proxy": (base) => {
    const { proxy, revoke } = Proxy.revocable(base, {});
    revoke();
    return proxy;
  },
  "a cycle": (base, name) => {
    const it = { ...base };
    it[name] = it;
    return it;
  },
  "a function": () => () => true,
  "a map": (base) => new Map(Object.entries(base)),
  "a promise": (base) => Promise.resolve(base),
  "a map that looks like a plain object": (base, name, value) => disguised(new Map(Object.entries({ ...base, [name]: value }))),
  "a map with members that looks like a plain object": (base) => Object.assign(disguised(new Map()), base),
  "a set that looks like a plain object": (base) => disguised(new Set(Object.keys(base))),
  "a date that looks like a plain object": () => disguised(new Date(0)),
  "an array that looks like a plain object": () => disguised([]),
  "a promise that looks like a plain object": (base) => disguised(Promise.resolve(base)),
  "a map that looks like a plain object, as a member": (base, name) => ({ ...base, [name]: disguised(new Map()) }),
  "a text": (base) => JSON.stringify(base),
};
const list = (change) => (base, name) => {
  const it = [...base[name]];
  return { ...base, [name]: change(it) ?? it };
};
const lists = {
  "a list with a hole": list((it) => { it.length += 1; }),
  "a list with undefined": list((it) => { it.length += 1; it[it.length - 1] = undefined; }),
  "a list with a function": list((it) => { it[it.length] = () => 1; }),
  "a list with a member of its own": list((it) => { it.more = 1; }),
  "a list with toJSON": list((it) => { it.toJSON = () => []; }),
  "a list with a symbol": list((it) => { it[Symbol("x")] = 1; }),
  "a list with a getter": list((it) => { Object.defineProperty(it, it.length, { enumerable: true, get: () => "a" }); }),
  "a list with an element that is not enumerable": list((it) => { Object.defineProperty(it, it.length, { value: "a" }); }),
  "a list that is a proxy": list((it) => new Proxy(it, {})),
  "a list that is like an array": list((it) => ({ ...it, length: it.length })),
  "a list that is an iterable": list((it) => new Set(it)),
  "a list that is too long": list(() => new Array(262_145).fill(0)),
  "a list of too much text": list(() => ["a".repeat(262_145)]),
  "a list that is nested too deep": list((it) => {
    for (let depth = 0; depth < 20; depth += 1) it = [it];
    return it;
  }),
};

let refused = 0;
function assertRefused(name, call) {
  try {
    call();
  } catch (error) {
    if (!(error instanceof TypeError)) throw new Error(`${name}: ${error.stack}`);
    if (!error.message.includes(" · ")) throw new Error(`${name}: nobody is told what to do: ${error.message}`);
    refused += 1;
    return;
  }
  throw new Error(`${name} was accepted`);
}
for (const [target, [base, name, value, listName, call]] of Object.entries(targets)) {
  call(base);
  call({ ...base, [name]: value });
  for (const [attack, make] of Object.entries(objects)) {
    assertRefused(`${target}: ${attack}`, () => call(make(base, name, value)));
  }
  if (listName === null) continue;
  for (const [attack, make] of Object.entries(lists)) {
    assertRefused(`${target}: ${attack}`, () => call(make(base, listName)));
  }
}

// An array is read by position nowhere.
for (const judge of [check, (...given) => validator.check(...given)]) {
  assertRefused("usage that is an array", () => judge(secret, key, { now: 100, usage: [1, 200] }));
  assertRefused("a rate that is an array", () => judge(secret, { ...key, rate: [1, 60] }, now));
}

function assertEqual(what, given, expected) {
  if (given !== expected) throw new Error(`${what}: ${given} instead of ${expected}`);
}

// A message names the member.
for (const [call, member] of [
  [() => check(secret, { ...key, rate: { limit: 1, window: () => 1 } }, now), "record.rate.window"],
  [() => check(secret, key, { now: 100, all_of: ["a", 7] }), "request.all_of[1]"],
  [() => check(secret, { ...key, state: 1 }, now), "record.state"],
  [() => validator.putIssuer({ ...issuer, jwks: { keys: [{ kty: undefined }] } }), "issuer.jwks.keys[0].kty"],
]) {
  try {
    call();
    throw new Error(`${member} was accepted`);
  } catch (error) {
    if (!error.message.startsWith(`${member}: `)) throw new Error(`${member} is not named: ${error.message}`);
  }
}

// Plain objects of another realm and without a prototype are records, and what they refuse is refused.
const foreign = (it) => runInNewContext(`(${JSON.stringify(it)})`);
for (const plain of [foreign, (it) => Object.assign(Object.create(null), it), Object.freeze, structuredClone]) {
  assertEqual("a plain key record", check(secret, plain({ ...key }), plain({ ...now })).verdict, "allow");
  assertEqual("an expired one", check(secret, plain({ ...key, expires_at: 50 }), now).code, "expired");
}

// Whatever is put into prototypes and in place of built-in functions now, the verdicts stay.
const judged = () => [
  check(secret, key, now).verdict,
  check(secret, { ...key, state: "revoked" }, now).code,
  check(secret, { ...key, expires_at: 50 }, now).code,
  check(secret, key, { now: 100, all_of: ["a"] }).code,
  check("other", key, now).code,
  new Validator({}).check("e30.e30.AA", {}, now).code,
  new Validator().check(new TextEncoder().encode(secret), { ...key, state: "suspended" }, now).code,
].join();
const before = judged();
assertEqual("before", before, "allow,revoked,expired,insufficient_scope,malformed,malformed,suspended");
const pollutions = {
  "Object.prototype.issuers": [Object.prototype, "issuers", [issuer]],
  "Object.prototype.principal": [Object.prototype, "principal", { kind: "api_key" }],
  "Object.prototype.get": [Object.prototype, "get", () => "active"],
  "Object.prototype.value": [Object.prototype, "value", "active"],
  "Object.prototype.key_id": [Object.prototype, "key_id", "x"],
  "Object.prototype.toJSON": [Object.prototype, "toJSON", () => ({})],
  "String.prototype.toJSON": [String.prototype, "toJSON", () => "x"],
  "Array.prototype.toJSON": [Array.prototype, "toJSON", () => []],
  "Array.prototype[0]": [Array.prototype, "0", "x"],
  "Array.prototype.push": [Array.prototype, "push", () => 0],
  "Array.prototype.map": [Array.prototype, "map", () => []],
  "Array.prototype[Symbol.iterator]": [Array.prototype, Symbol.iterator, function* () {}],
  "Array.isArray": [Array, "isArray", () => true],
  "Object.keys": [Object, "keys", () => []],
  "Object.hasOwn": [Object, "hasOwn", () => true],
  "Reflect.ownKeys": [Reflect, "ownKeys", () => []],
  "Reflect.getPrototypeOf": [Reflect, "getPrototypeOf", () => null],
  "Reflect.getOwnPropertyDescriptor": [Reflect, "getOwnPropertyDescriptor", () => ({ value: 1, enumerable: true })],
  "JSON.parse": [JSON, "parse", () => ({ verdict: "allow", principal: {} })],
  "JSON.stringify": [JSON, "stringify", () => "{}"],
  "Number.isSafeInteger": [Number, "isSafeInteger", () => true],
  "TextEncoder.prototype.encode": [TextEncoder.prototype, "encode", () => new Uint8Array(0)],
  "TextDecoder.prototype.decode": [TextDecoder.prototype, "decode", () => '{"verdict":"allow","principal":{}}'],
  "Uint8Array.prototype.set": [Object.getPrototypeOf(Uint8Array.prototype), "set", () => undefined],
  "Function.prototype.call": [Function.prototype, "call", () => undefined],
  "RegExp.prototype.exec": [RegExp.prototype, "exec", () => []],
  "globalThis.structuredClone": [globalThis, "structuredClone", (it) => it],
  "globalThis.Uint8Array": [globalThis, "Uint8Array", Array],
};
const { defineProperty, deleteProperty, getOwnPropertyDescriptor, ownKeys } = Reflect;
const { encode } = TextEncoder.prototype;
const bytesOf = Function.prototype.call.bind(encode, new TextEncoder());
const known = bytesOf(secret);
for (const name of ownKeys(pollutions)) {
  const [object, member, value] = pollutions[name];
  const original = getOwnPropertyDescriptor(object, member);
  let given;
  let deny;
  defineProperty(object, member, { value, configurable: true, writable: true, enumerable: false });
  try {
    given = [
      check(secret, key, now).verdict, check(secret, { __proto__: null, ...key, state: "revoked" }, now).code,
      check(secret, { ...key, expires_at: 50 }, now).code, check(secret, key, { now: 100, all_of: ["a"] }).code,
      check("other", key, now).code, new Validator({}).check("e30.e30.AA", {}, now).code,
      new Validator().check(known, { ...key, state: "suspended" }, now).code,
    ];
    deny = check("other", key, now);
  } finally {
    if (original === undefined) deleteProperty(object, member);
    else defineProperty(object, member, original);
  }
  assertEqual(name, given.join(), before);
  assertEqual(`${name}: the principal of a deny`, deny.principal, undefined);
  refused += 1;
}

process.stdout.write(`${refused} attacks, none of them allowed`);
