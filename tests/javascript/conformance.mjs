// Runs the vectors through the JavaScript package; writes to standard output, as JSON:
// `keys`: how many keys of each issuer can be used; `first`, `again`: the verdicts of a validator on
// each case, where the second time it may remember the token; `function`: those of the function for
// keys, where a case is one for it.
// Arguments: the folder of the package, the file of the vectors.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, vectors] = process.argv.slice(2);
const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
const { Validator, check, initSync } = await import(
  pathToFileURL(join(folder, manifest.main ?? "keystile_validator.js"))
);
initSync({ module: readFileSync(join(folder, "keystile_validator_bg.wasm")) });

function credentialOf(one) {
  if (one.credential !== undefined) return one.credential;
  if (one.credential_hex !== undefined) return Uint8Array.from(Buffer.from(one.credential_hex, "hex"));
  return one.credential_repeat.text.repeat(one.credential_repeat.times);
}

const { cases, formats, issuers } = JSON.parse(readFileSync(vectors, "utf8"));

// One validator for each pair of formats and issuers.
const validators = {};
const validatorOf = (one) =>
  (validators[`${one.formats} ${one.issuers}`] ??= new Validator({
    formats: formats[one.formats],
    issuers: issuers[one.issuers],
  }));
const judge = (one) => validatorOf(one).check(credentialOf(one), one.record, one.request);

const keys = Object.fromEntries(
  Object.entries(issuers).map(([name, documents]) => {
    const validator = new Validator();
    const counts = documents.map((document) => validator.putIssuer(document));
    validator.free();
    return [name, counts];
  }),
);
const first = cases.map(judge);
const again = cases.map(judge);
const isForFunction = (one) => issuers[one.issuers].length === 0 && (!one.record || "key_id" in one.record);
const ofFunction = cases.map((one) =>
  isForFunction(one) ? check(credentialOf(one), one.record, one.request, formats[one.formats]) : null,
);
process.stdout.write(JSON.stringify({ keys, first, again, function: ofFunction }));
