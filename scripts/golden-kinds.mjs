// Asks Kubernetes' own code what it makes of the objects in src/kube/golden/, and writes its answers there.
// Usage: node scripts/golden-kinds.mjs ORACLE [FILE...]
// ORACLE is the program in test/golden/oracle, built by `go build`. To add a case, add an entry with an `object` (and a `change` that is
// merged into it, and a `subresource`) and run this.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";

const [, , oracle, ...given] = process.argv;
if (!oracle) throw new Error("usage: golden-kinds.mjs ORACLE [FILE...]");
const folder = new URL("../src/kube/golden/", import.meta.url);
const files = given.length > 0 ? given : readdirSync(folder).map((name) => new URL(name, folder).pathname);
for (const file of files.filter((name) => name.endsWith(".json"))) {
  const cases = JSON.parse(readFileSync(file, "utf8"));
  const input = cases
    .map(({ object, change, subresource }) => JSON.stringify({ object, change, subresource }))
    .join("\n");
  const { stdout, status, stderr } = spawnSync(oracle, { input: `${input}\n`, encoding: "utf8", maxBuffer: 1 << 28 });
  if (status !== 0) throw new Error(stderr);
  const answers = stdout.trim().split("\n");
  if (answers.length !== cases.length) throw new Error(`${answers.length} answers to ${cases.length} questions`);
  const lines = cases.map(({ object, change, subresource }, i) => {
    const asked = { object, change, subresource };
    const { error, ...answer } = JSON.parse(answers[i]);
    if (error && !answer.causes) throw new Error(`${JSON.stringify(asked)}: ${error}`);
    return JSON.stringify({ ...asked, answer });
  });
  writeFileSync(file, `[\n${lines.join(",\n")}\n]\n`);
  console.log(`${file}: ${lines.length}`);
}
