// The Keystile validator for JavaScript; the types are in keystile_validator.d.ts.
//
// Every call reads its arguments first, which may run code of the caller's, and enters the wasm module
// with bytes only. The module imports nothing, so no exception and no other call passes through it.

import { Guest, accepted, unavailable, wipe } from "./internal/guest.js";
import { ErrorConstructor, Module, TypeErrorConstructor, encodeText, hasOwn, ownKeys } from "./internal/intrinsics.js";
import {
  KEY_RECORD, TOKEN_RECORD, credentialOf, formatsOf, issuerOf, recordOf, requestOf, settingsOf,
} from "./internal/values.js";

/** The compiled module, from the first initialization. */
let compiled;

/** Loads the module from bytes, or takes one that is compiled. */
export function initSync(source) {
  if (compiled !== undefined) return;
  const module = isNamed(source, "module") ? source.module : source;
  compiled = module instanceof Module ? module : new Module(module);
}

/** Loads the module: by default the file beside this one. */
export default async function init(source) {
  if (compiled !== undefined) return;
  let from = await (isNamed(source, "module_or_path") ? source.module_or_path : source);
  from ??= new URL("keystile_validator_bg.wasm", import.meta.url);
  if (typeof from === "string" || from instanceof URL || (typeof Request === "function" && from instanceof Request)) {
    from = await fetch(from);
  }
  if (typeof Response === "function" && from instanceof Response) {
    if (!from.ok) {
      throw new ErrorConstructor(`${from.url}: the wasm module cannot be fetched, status ${from.status} · check the URL`);
    }
    from = await from.arrayBuffer();
  }
  const module = from instanceof Module ? from : await WebAssembly.compile(from);
  compiled ??= module;
}

export class Validator {
  /** The instance; `undefined` while one runs, and after one has failed. */
  #guest;
  /** What a fresh instance is given: the formats, and the documents of the issuers by name. */
  #formats;
  #issuers = { __proto__: null };
  #freed = false;

  constructor(settings) {
    const given = settingsOf(settings);
    this.#formats = given.formats;
    const guest = fresh();
    accepted(guest.setFormats(given.formats), "");
    for (let at = 0; at < given.length; at += 1) {
      const { name, bytes } = given.issuers[at];
      accepted(guest.putIssuer(bytes), `issuers[${at}]`);
      this.#keep(name, bytes);
    }
    this.#guest = guest;
  }

  putIssuer(document) {
    const { name, bytes } = issuerOf(document, "issuer");
    this.#assertUsable();
    let answer;
    try {
      const guest = this.#take();
      answer = guest.putIssuer(bytes);
      this.#guest = guest;
    } catch {
      throw new ErrorConstructor("issuer: the validator has failed, and keeps the issuers that it had · try again");
    }
    if (answer.refused === null) this.#keep(name, bytes);
    return accepted(answer, "issuer").number;
  }

  removeIssuer(name) {
    if (typeof name !== "string") {
      throw new TypeErrorConstructor("name: not a string · give what the issuer has as `issuer`");
    }
    this.#assertUsable();
    if (!hasOwn(this.#issuers, name)) return false;
    const guest = this.#guest;
    this.#guest = undefined;
    this.#drop(name);
    try {
      guest?.removeIssuer(encodeText(name));
      this.#guest = guest;
    } catch {
      // The next call makes a fresh instance, which does not get this issuer.
    }
    return true;
  }

  check(credential, record, request) {
    const readRecord = recordOf(record);
    const readRequest = requestOf(request);
    const readCredential = credentialOf(credential);
    this.#assertUsable();
    let answer;
    try {
      const guest = this.#take();
      answer = guest.check(readCredential, readRecord, readRequest);
      this.#guest = guest;
    } catch {
      return unavailable();
    }
    return accepted(answer, "").verdict;
  }

  free() {
    this.#guest = undefined;
    this.#freed = true;
    const names = ownKeys(this.#issuers);
    for (let at = 0; at < names.length; at += 1) this.#drop(names[at]);
  }

  /**
   * The instance, or a fresh one in place of one that has failed. Whoever takes it puts it back after a
   * call that has ended well: whatever is thrown meanwhile leaves it behind.
   */
  #take() {
    this.#assertUsable();
    const guest = this.#guest ?? this.#load();
    this.#guest = undefined;
    return guest;
  }

  #load() {
    const guest = fresh();
    accepted(guest.setFormats(this.#formats), "");
    const names = ownKeys(this.#issuers);
    for (let at = 0; at < names.length; at += 1) accepted(guest.putIssuer(this.#issuers[names[at]]), "issuer");
    return guest;
  }

  #assertUsable() {
    if (this.#freed) throw new TypeErrorConstructor("the validator was freed · make a new one");
  }

  #keep(name, document) {
    this.#drop(name);
    this.#issuers[name] = document;
  }

  #drop(name) {
    const document = this.#issuers[name];
    if (document === undefined) return;
    delete this.#issuers[name];
    wipe(document);
  }
}
if (Symbol.dispose) Validator.prototype[Symbol.dispose] = Validator.prototype.free;

/** The instance of `check`; as that of a validator, `undefined` while it runs. */
let ofFunction;

export function check(credential, record, request, formats) {
  const readRecord = recordOf(record);
  // It judges keys only: what has no `key_id` is refused as a record of a key that lacks it.
  if (readRecord.kind === TOKEN_RECORD) readRecord.kind = KEY_RECORD;
  const readRequest = requestOf(request);
  const readFormats = formatsOf(formats);
  const readCredential = credentialOf(credential);
  assertLoaded();
  let answer;
  try {
    const guest = ofFunction ?? fresh();
    ofFunction = undefined;
    answer = guest.setFormats(readFormats);
    if (answer.refused === null) answer = guest.check(readCredential, readRecord, readRequest);
    ofFunction = guest;
  } catch {
    return unavailable();
  }
  return accepted(answer, "").verdict;
}

function fresh() {
  assertLoaded();
  return new Guest(compiled);
}

function assertLoaded() {
  if (compiled === undefined) {
    throw new ErrorConstructor("the validator is not loaded · await init(), or call initSync({ module })");
  }
}

/** Whether this is an object as `{ [name]: … }`, and none that a module can be made of. */
function isNamed(source, name) {
  return typeof source === "object" && source !== null && hasOwn(source, name);
}
