// Reading the caller's values: what is checked here is what is judged.
//
// A value is read once, member by member, into JSON of our own making. Only own, enumerable data
// members of plain objects and arrays count; whatever else there is throws a TypeError that names it,
// because a member that is left out would allow: a `revoked` that is not there revokes nothing. No code
// of the caller runs but the traps of a proxy, and a proxy is refused where the engine can tell.

import {
  Bytes, ObjectPrototype, TypeErrorConstructor, cloneValue, encodeText, getOwnPropertyDescriptor, getPrototypeOf, hasOwn,
  isArray, isSafeInteger, lengthOfBytes, matchPattern, ownKeys, sliceText, sourceOf, stringifyJson, typedArrayName,
} from "./intrinsics.js";

/** Longest credential that is looked at, in bytes. */
export const MAX_CREDENTIAL_LENGTH = 65_536;
/** Longest argument: characters that are read, and bytes of its JSON. */
export const MAX_ARGUMENT_LENGTH = 262_144;
/** How deep objects and arrays may lie in each other. */
export const MAX_DEPTH = 16;
/** Most elements of a list of issuers that are looked at. */
export const MAX_ISSUERS = 1_024;

/** What the record is of, as the module has it. */
export const NO_RECORD = 0;
export const KEY_RECORD = 1;
export const TOKEN_RECORD = 2;

/** Whether an argument says that there is nothing. */
export const isNone = (value) => value === null || value === undefined;

/**
 * The credential as `{ length, bytes }`. One that is too long is measured, and not copied: then `bytes`
 * is empty, and `length` beyond the bound.
 */
export function credentialOf(credential) {
  if (typeof credential === "string") {
    if (credential.length > MAX_CREDENTIAL_LENGTH) return TOO_LONG;
    const bytes = encodeText(credential);
    const length = lengthOfBytes(bytes);
    return length > MAX_CREDENTIAL_LENGTH ? TOO_LONG : { length, bytes };
  }
  if (typeof credential === "object" && credential !== null && typedArrayName(credential) === "Uint8Array") {
    const length = lengthOfBytes(credential);
    return length > MAX_CREDENTIAL_LENGTH ? TOO_LONG : { length, bytes: credential };
  }
  throw new TypeErrorConstructor(
    "credential: neither a string nor a Uint8Array · give the presented key or token",
  );
}

/** The record as `{ kind, bytes }`: one with the member `key_id` is that of a key. */
export function recordOf(record) {
  if (isNone(record)) return { kind: NO_RECORD, bytes: NOTHING };
  let kind = TOKEN_RECORD;
  const bytes = objectOf(record, "record", (name) => {
    if (name === "key_id") kind = KEY_RECORD;
  });
  return { kind, bytes };
}

/** The JSON of a request. */
export function requestOf(request) {
  if (isNone(request)) {
    throw new TypeErrorConstructor("request: missing · give an object with at least `now`");
  }
  return objectOf(request, "request");
}

/** The JSON of a list of key formats; none are an empty list. */
export function formatsOf(formats) {
  if (isNone(formats)) return encodeText("[]");
  if (!reading("formats", () => isArray(formats))) {
    throw new TypeErrorConstructor("formats: not an array · give an array of formats");
  }
  return bytesOf(formats, "formats");
}

/** The document of an issuer as `{ name, bytes }`. */
export function issuerOf(document, where) {
  if (isNone(document)) throw new TypeErrorConstructor(`${where}: missing · give an object of the documented type`);
  let name = "";
  const bytes = objectOf(document, where, (member, value) => {
    if (member === "issuer" && typeof value === "string") name = value;
  });
  return { name, bytes };
}

/** The settings as `{ formats, issuers, length }`; `issuers` has as many documents as `length` says. */
export function settingsOf(settings) {
  const read = { formats: encodeText("[]"), issuers: { __proto__: null }, length: 0 };
  if (isNone(settings)) return read;
  let formats = null;
  let issuers = null;
  reading("settings", (fail) => {
    if (!isPlainObject(settings)) fail("settings", "not a plain object", "give `{ formats, issuers }` or nothing");
    const names = ownKeys(settings);
    for (let at = 0; at < names.length; at += 1) {
      const name = names[at];
      const value = memberOf(settings, name, "settings", fail);
      if (value === undefined) fail(`settings.${name}`, "undefined", "leave it out, or give null");
      if (name === "formats") formats = value;
      else if (name === "issuers") issuers = value;
      else fail("settings", `there is no \`${shown(name)}\``, "give `formats` and `issuers`");
    }
  });
  read.formats = formatsOf(formats);
  if (issuers === null) {
    refuseDisguises(settings, "settings");
    return read;
  }
  const elements = { __proto__: null };
  read.length = reading("issuers", (fail) => {
    if (!isArray(issuers)) fail("issuers", "not an array", "give an array of issuers");
    const length = lengthOf(issuers, "issuers", MAX_ISSUERS, fail);
    for (let at = 0; at < length; at += 1) elements[at] = memberOf(issuers, `${at}`, "issuers", fail);
    return length;
  });
  for (let at = 0; at < read.length; at += 1) read.issuers[at] = issuerOf(elements[at], `issuers[${at}]`);
  // After what is in them was measured: the settings and the list may be proxies themselves.
  refuseDisguises(settings, "settings");
  return read;
}

/** The JSON of a plain object; `watch` hears its members. */
function objectOf(value, where, watch) {
  const isObject = reading(where, () => typeof value === "object" && !isArray(value) && isPlainObject(value));
  if (!isObject) {
    throw new TypeErrorConstructor(
      `${where}: not a plain object · give one of the documented type, copy what is an object of a class, ` +
        "and await what is a promise",
    );
  }
  return bytesOf(value, where, watch);
}

/** The JSON of a value, as UTF-8. */
function bytesOf(value, where, watch) {
  const json = reading(where, (fail) => {
    const out = { json: "", left: MAX_ARGUMENT_LENGTH, where, fail };
    write(out, value, where, 0, watch);
    return out.json;
  });
  refuseDisguises(value, where);
  const bytes = encodeText(json);
  if (lengthOfBytes(bytes) > MAX_ARGUMENT_LENGTH) {
    throw new TypeErrorConstructor(`${where}: too long · give at most ${MAX_ARGUMENT_LENGTH} bytes`);
  }
  return bytes;
}

/** Appends the JSON of a value. */
function write(out, value, path, depth, watch) {
  switch (typeof value) {
    case "string":
      spend(out, value.length + 2, path);
      out.json += stringifyJson(value);
      return;
    case "number":
      if (!isSafeInteger(value)) out.fail(path, "not a whole number", "give a whole number that is exact");
      spend(out, 1, path);
      out.json += `${value}`;
      return;
    case "boolean":
      spend(out, 4, path);
      out.json += value ? "true" : "false";
      return;
    case "object":
      break;
    case "undefined":
      return out.fail(path, "undefined", "leave the member out, or give its value");
    default:
      return out.fail(path, `a ${typeof value}`, "give plain data");
  }
  if (value === null) {
    spend(out, 4, path);
    out.json += "null";
    return;
  }
  if (depth === MAX_DEPTH) out.fail(path, "nested too deep", `give at most ${MAX_DEPTH} levels`);
  spend(out, 2, path);
  if (isArray(value)) return writeArray(out, value, path, depth);
  if (!isPlainObject(value)) {
    out.fail(path, "not a plain object", "give a copy that is one, or the value itself");
  }
  const names = ownKeys(value);
  out.json += "{";
  for (let at = 0; at < names.length; at += 1) {
    const name = names[at];
    const member = memberOf(value, name, path, out.fail);
    spend(out, name.length + 4, path);
    out.json += `${at === 0 ? "" : ","}${stringifyJson(name)}:`;
    if (watch !== undefined) watch(name, member);
    write(out, member, `${path}.${shown(name)}`, depth + 1);
  }
  out.json += "}";
}

function writeArray(out, array, path, depth) {
  const length = lengthOf(array, path, out.left, out.fail);
  out.json += "[";
  for (let at = 0; at < length; at += 1) {
    const element = memberOf(array, `${at}`, path, out.fail);
    spend(out, 1, path);
    if (at !== 0) out.json += ",";
    write(out, element, `${path}[${at}]`, depth + 1);
  }
  out.json += "]";
}

/** The length of an array that has its elements and nothing else. */
function lengthOf(array, path, most, fail) {
  const own = getOwnPropertyDescriptor(array, "length");
  const length = own !== undefined && hasOwn(own, "value") ? own.value : undefined;
  if (!isSafeInteger(length) || length < 0) fail(path, "an array without a length", "give a plain array");
  if (length > most) fail(path, "too long", `give at most ${most} elements`);
  // An array of so many members that is asked for each element below has no other ones.
  if (ownKeys(array).length !== length + 1) {
    fail(path, "an array with holes or with members of its own", "give a plain array of values");
  }
  return length;
}

/** The value of an own, enumerable data member. */
function memberOf(object, name, path, fail) {
  if (typeof name === "symbol") fail(path, "a member whose name is a symbol", "leave it out");
  const member = getOwnPropertyDescriptor(object, name);
  if (member === undefined) fail(`${path}.${shown(name)}`, "not there when it was read", "give plain data");
  if (!hasOwn(member, "value")) fail(`${path}.${shown(name)}`, "a getter or setter", "give its value");
  if (!member.enumerable) fail(`${path}.${shown(name)}`, "not enumerable", "give a plain object");
  return member.value;
}

/** Whether this is an object as a literal or `JSON.parse` makes it, of this realm or another one. */
function isPlainObject(value) {
  const prototype = getPrototypeOf(value);
  return prototype === null || prototype === ObjectPrototype || isForeignObjectPrototype(prototype);
}

/** Whether this is the `Object.prototype` of another realm, which its engine alone can make. */
function isForeignObjectPrototype(prototype) {
  if (getPrototypeOf(prototype) !== null) return false;
  const own = getOwnPropertyDescriptor(prototype, "constructor");
  if (own === undefined || !hasOwn(own, "value") || typeof own.value !== "function") return false;
  const back = getOwnPropertyDescriptor(own.value, "prototype");
  if (back === undefined || !hasOwn(back, "value") || back.value !== prototype || back.writable) return false;
  return matchPattern(NATIVE_OBJECT, sourceOf(own.value)) !== null;
}

/**
 * Refuses a value that is, or holds, something else than it looks like, where the engine can tell: a proxy, which
 * can hide a member, or a Map or Date whose prototype was changed to that of a plain object, which would be one
 * without members. Where the engine cannot tell, a value is what it says of itself the one time it is asked.
 */
function refuseDisguises(value, where) {
  if (cloneValue === undefined) return;
  let clone;
  try {
    clone = cloneValue(value);
  } catch {
    throw new TypeErrorConstructor(`${where}: a proxy, or with one in it · give a copy that is plain data`);
  }
  if (!isPlainClone(clone)) {
    throw new TypeErrorConstructor(`${where}: an object of a class, or with one in it · give a copy that is plain data`);
  }
}

/** Whether a clone is plain data. What it is made of decides on its prototype, whatever that of the original is. */
function isPlainClone(clone) {
  if (typeof clone !== "object" || clone === null) return true;
  if (!isArray(clone) && getPrototypeOf(clone) !== ObjectPrototype) return false;
  const names = ownKeys(clone);
  for (let at = 0; at < names.length; at += 1) {
    if (!isPlainClone(getOwnPropertyDescriptor(clone, names[at]).value)) return false;
  }
  return true;
}

function spend(out, characters, path) {
  out.left -= characters;
  if (out.left < 0) out.fail(path, "too long", `give at most ${MAX_ARGUMENT_LENGTH} characters in all`);
}

/**
 * Runs `read(fail)`, and throws a TypeError for whatever it throws: with the reason that `fail` was
 * given, or for an error of the caller's own code.
 */
function reading(where, read) {
  let reason = `${where}: cannot be read · give plain data`;
  const fail = (path, what, advice) => {
    reason = `${path}: ${what} · ${advice}`;
    throw null;
  };
  try {
    return read(fail);
  } catch {
    throw new TypeErrorConstructor(reason);
  }
}

/** A name as messages show it. */
const shown = (name) => (name.length > 64 ? `${sliceText(name, 0, 64)}…` : name);

const NOTHING = new Bytes(0);
const TOO_LONG = { length: MAX_CREDENTIAL_LENGTH + 1, bytes: NOTHING };
const NATIVE_OBJECT = /^function Object\(\)\s*\{\s*\[native code\]\s*\}$/;
