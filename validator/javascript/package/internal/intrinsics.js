// What this package needs of the engine, taken when it is loaded. What other code later puts into
// prototypes or in place of built-in functions changes no verdict. Code that runs before this module
// is loaded cannot be defended against.
//
// The rest of the package keeps to this: no methods of objects or arrays, no iteration, no `push`, no
// reading of a member that an object may lack. Each of them asks a prototype.

const { bind, call } = Function.prototype;
/** A method as a function whose first argument is `this`. */
const unbound = bind.bind(call);
const getterOf = (prototype, name) => unbound(Reflect.getOwnPropertyDescriptor(prototype, name).get);

export const { getOwnPropertyDescriptor, getPrototypeOf, ownKeys, setPrototypeOf } = Reflect;
export const { hasOwn } = Object;
export const { isArray } = Array;
export const { isSafeInteger } = Number;
export const { parse: parseJson, stringify: stringifyJson } = JSON;
export const ObjectPrototype = Object.prototype;
export const TypeErrorConstructor = TypeError;
export const ErrorConstructor = Error;
export const Bytes = Uint8Array;
export const Instance = WebAssembly.Instance;
export const Module = WebAssembly.Module;

const TypedArrayPrototype = getPrototypeOf(Uint8Array.prototype);
/** `"Uint8Array"` for a Uint8Array of any realm, whatever its prototype says. */
export const typedArrayName = getterOf(TypedArrayPrototype, Symbol.toStringTag);
export const lengthOfBytes = getterOf(TypedArrayPrototype, "length");
export const setBytes = unbound(TypedArrayPrototype.set);
export const fillBytes = unbound(TypedArrayPrototype.fill);
export const memoryBuffer = getterOf(WebAssembly.Memory.prototype, "buffer");

export const sliceText = unbound(String.prototype.slice);
export const sourceOf = unbound(Function.prototype.toString);
export const matchPattern = unbound(RegExp.prototype.exec);

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });
const encodeWith = unbound(TextEncoder.prototype.encode);
const decodeWith = unbound(TextDecoder.prototype.decode);
/** The UTF-8 of a string; half a surrogate pair becomes U+FFFD. */
export const encodeText = (text) => encodeWith(encoder, text);
export const decodeText = (bytes) => decodeWith(decoder, bytes);

/** Throws on a proxy, and gives a Map or Date its own prototype back, which nothing else can tell; absent in old engines. */
export const cloneValue = typeof structuredClone === "function" ? structuredClone : undefined;
