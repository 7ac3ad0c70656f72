// The wasm module: one instance for each validator, which nothing else can reach.

import {
  Bytes, ErrorConstructor, Instance, TypeErrorConstructor, decodeText, fillBytes, lengthOfBytes, memoryBuffer, parseJson,
  setBytes, setPrototypeOf,
} from "./intrinsics.js";

/** An instance. One that has thrown must not be used again: nobody knows what state it is in. */
export class Guest {
  #exports;

  constructor(module) {
    this.#exports = new Instance(module).exports;
  }

  /** Takes key formats, as JSON. */
  setFormats(formats) {
    this.#send(lengthOfBytes(formats), formats);
    return this.#answer(this.#exports.keystile_set_formats(lengthOfBytes(formats)));
  }

  /** Takes the document of an issuer; the answer is how many of its keys can be used. */
  putIssuer(document) {
    this.#send(lengthOfBytes(document), document);
    return this.#answer(this.#exports.keystile_put_issuer(lengthOfBytes(document)));
  }

  /** Forgets an issuer; the answer is 1 when there was one. */
  removeIssuer(name) {
    this.#send(lengthOfBytes(name), name);
    return this.#answer(this.#exports.keystile_remove_issuer(lengthOfBytes(name)));
  }

  /** Judges a credential; the answer has the verdict. */
  check(credential, record, request) {
    const given = lengthOfBytes(credential.bytes);
    const recordLength = lengthOfBytes(record.bytes);
    const requestLength = lengthOfBytes(request);
    this.#send(given + recordLength + requestLength, credential.bytes, record.bytes, request);
    const exports = this.#exports;
    const answer = this.#answer(exports.keystile_check(credential.length, record.kind, recordLength, requestLength));
    if (answer.refused === null) answer.verdict = verdictOf(this.#output());
    return answer;
  }

  #send(length, first, second, third) {
    const address = this.#exports.keystile_input(length);
    if (address === 0) throw new ErrorConstructor("the validator takes no input of this length");
    const input = new Bytes(memoryBuffer(this.#exports.memory), address >>> 0, length);
    setBytes(input, first, 0);
    if (second === undefined) return;
    setBytes(input, second, lengthOfBytes(first));
    setBytes(input, third, lengthOfBytes(first) + lengthOfBytes(second));
  }

  #answer(number) {
    return { number, refused: number < 0 ? this.#output() : null, verdict: null };
  }

  #output() {
    const { keystile_output, keystile_output_length, memory } = this.#exports;
    return decodeText(new Bytes(memoryBuffer(memory), keystile_output() >>> 0, keystile_output_length() >>> 0));
  }
}

/** The TypeError for an answer that refuses, or the answer. */
export function accepted(answer, where) {
  if (answer.refused === null) return answer;
  throw new TypeErrorConstructor(where === "" ? answer.refused : `${where}: ${answer.refused}`);
}

/** The answer when no instance has one. */
export const unavailable = () => verdictOf(UNAVAILABLE);

/** Overwrites bytes that may hold secrets. */
export const wipe = (bytes) => fillBytes(bytes, 0);

/** A verdict whose members are all its own: a member that it lacks is found in no prototype. */
function verdictOf(json) {
  const verdict = parseJson(json);
  if (verdict.verdict === "allow") setPrototypeOf(verdict.principal, null);
  setPrototypeOf(verdict, null);
  return verdict;
}

const UNAVAILABLE =
  '{"verdict":"deny","code":"unavailable","status":503,"message":' +
  '"The service cannot check credentials at the moment. Try again later."}';
