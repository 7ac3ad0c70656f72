// What is not of the documented type is refused with a TypeError, and never read as "no limit".
// Argument: the folder of the package.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const folder = process.argv[2];
const { check, initSync } = await import(pathToFileURL(join(folder, "keystile_validator.js")));
initSync({ module: readFileSync(join(folder, "keystile_validator_bg.wasm")) });

const record = { key_id: "key_" + "0".repeat(32), digest: "0".repeat(64), state: "active", env: "live" };
const calls = {
  "an expiry that is NaN": () => check("k", { ...record, expires_at: NaN }, { now: 0 }),
  "a retirement that is Infinity": () => check("k", { ...record, retires_at: Infinity }, { now: 0 }),
  "a time that is NaN": () => check("k", record, { now: NaN }),
  "a time with a fraction": () => check("k", record, { now: 0.5 }),
  "no request": () => check("k", record),
  "a member nobody knows": () => check("k", { ...record, expiresAt: 1 }, { now: 0 }),
  "a credential that is a number": () => check(7, record, { now: 0 }),
  "a scope with a space": () => check("k", record, { now: 0, all_of: ["a b"] }),
};
for (const [name, call] of Object.entries(calls)) {
  try {
    call();
  } catch (error) {
    if (error instanceof TypeError) continue;
    throw new Error(`${name}: ${error}`);
  }
  throw new Error(`${name} was accepted`);
}
process.stdout.write(`${Object.keys(calls).length} refused`);
