import { mkdir, readFile, symlink } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { clientPrograms } from "../../scripts/kubectl.mjs";
import { systemCommands } from "../../src/system/index.ts";
import { tearDown, type TestCluster, upCluster } from "../support/cluster.ts";
import { type Lab, noKernel, openLab, repository } from "../support/lab.ts";

/** Blocks of a page that are marked as commands, in order, with the heading they stand under. */
async function commandsOf(page: string): Promise<{ heading: string; commands: string }[]> {
  const text = await readFile(join(repository, page), "utf8");
  const found: { heading: string; commands: string }[] = [];
  let heading = "";
  for (const [, title, commands] of text.matchAll(/^#+ (.+)$|^```sh\n([\s\S]*?)^```$/gm)) {
    if (title !== undefined) heading = title;
    else if (commands !== undefined) found.push({ heading, commands });
  }
  return found;
}

const noCurl = await systemCommands.run("curl", ["--version"]).then(
  () => undefined,
  () => "needs curl",
);

/** The pages run in a shell of their reader: variables that one block sets are there in the next. */
/** A page, and how often at least its commands print something that tells they did what the page is about. */
const pages: readonly (readonly [page: string, sign: RegExp, times: number])[] = [
  ["docs/expose-a-service.md", /"pod":/g, 4],
  ["docs/addresses.md", /10\.98\.1\.10|shop/g, 5],
  ["docs/explain.md", /=> FORWARD|AGREES|selector-matches-nothing|ingress-backend|is not "wep"|Would be wrong/g, 8],
  ["docs/security.md", /kubernetes-admin|\bjane\b|system:serviceaccount:default:robot|New key key2/g, 6],
];

describe.skipIf(noCurl).each(pages)(`%s${noCurl ? ` (skipped: ${noCurl})` : ""}`, (page, sign, times) => {
  let lab: Lab | undefined;
  let cluster: TestCluster | undefined;

  beforeAll(async () => {
    lab = await openLab(noKernel ? "unprivileged" : "root");
    cluster = await upCluster(lab);
    // The page speaks of a cluster in the reader's home.
    await mkdir(join(lab.dir, "home"));
    await symlink(cluster.dir, join(lab.dir, "home/.fairlead"));
  });
  afterAll(() => tearDown(lab, cluster));

  it("its commands do what it says, one after the other", async () => {
    if (!lab || !cluster) throw new Error("there is no cluster");
    const blocks = await commandsOf(page);
    expect(blocks.length).toBeGreaterThanOrEqual(3);
    const script = blocks
      .map(({ heading, commands }) => `echo "== ${heading.replaceAll(/["$`\\]/g, "")}"\n${commands}`)
      .join("\n");
    const { code, stdout, stderr } = await lab.run("sh", ["-eu", "-c", script], {
      env: {
        PATH: `${clientPrograms() ?? ""}:${repository}:${process.env["PATH"] ?? ""}`,
        HOME: join(lab.dir, "home"),
      },
    });
    expect(code, `${stdout}\n${stderr}`).toBe(0);
    for (const { heading } of blocks.slice(1)) expect(stdout).toContain(`== ${heading.replaceAll(/["$`\\]/g, "")}`);
    expect(stdout.match(sign)?.length ?? 0, stdout).toBeGreaterThanOrEqual(times);
  });
});
