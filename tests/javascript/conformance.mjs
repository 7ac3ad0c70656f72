// Runs the vectors through the JavaScript package; writes the verdicts to standard output, as JSON.
// Arguments: the folder of the package, the file of the vectors.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, vectors] = process.argv.slice(2);
const manifest = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
const validator = await import(pathToFileURL(join(folder, manifest.main ?? "keystile_validator.js")));
validator.initSync({ module: readFileSync(join(folder, "keystile_validator_bg.wasm")) });

function credentialOf(one) {
  if (one.credential !== undefined) return one.credential;
  if (one.credential_hex !== undefined) return Uint8Array.from(Buffer.from(one.credential_hex, "hex"));
  return one.credential_repeat.text.repeat(one.credential_repeat.times);
}

const { cases, formats } = JSON.parse(readFileSync(vectors, "utf8"));
const verdicts = cases.map((one) =>
  validator.check(credentialOf(one), one.record, one.request, formats[one.formats]),
);
process.stdout.write(JSON.stringify(verdicts));
