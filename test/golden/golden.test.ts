import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { familyFiles, readFamily, writeFamily, type Answer, type Exchange } from "./exchange.ts";
import { createNormaliser } from "./normalise.ts";
import { elsewhere, inProcess, overHttps, type GoldenServer } from "./servers.ts";

/** Of a server elsewhere: `GOLDEN_SERVER=https://... GOLDEN_TOKEN=...`; with `GOLDEN_WRITE=1` what it answers is written down. */
const { GOLDEN_SERVER, GOLDEN_TOKEN = "", GOLDEN_WRITE, GOLDEN_FAMILY } = process.env;
const files = familyFiles()
  .filter((file) => !GOLDEN_FAMILY || file === `${GOLDEN_FAMILY}.yaml`)
  // What another server's store has forgotten is not for us to say.
  .filter((file) => !GOLDEN_SERVER || !readFamily(file).late);

/** Puts in what earlier answers hold. */
function fill(text: string, saved: ReadonlyMap<string, unknown>): string {
  return text.replace(/\{\{([^}]+)\}\}/g, (_, path: string) => {
    const [name = "", ...steps] = path.trim().split(".");
    let value: unknown = saved.get(name);
    for (const step of steps) value = (value as Record<string, unknown> | undefined)?.[step];
    if (value === undefined) throw new Error(`no answer has ${path}`);
    if (typeof value !== "string") throw new Error(`${path} is no text`);
    return value;
  });
}

function contentOf({ body, text, bytes }: Partial<Exchange>, saved: ReadonlyMap<string, unknown>): Buffer | undefined {
  if (bytes !== undefined)
    return Buffer.from(
      `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"large"},"data":{"a":"${"x".repeat(bytes)}"}}`,
    );
  if (text !== undefined) return Buffer.from(fill(text, saved));
  return body === undefined ? undefined : Buffer.from(fill(JSON.stringify(body), saved));
}

type Asked = Pick<Exchange, "request" | "body" | "headers"> & Partial<Exchange>;

async function ask(server: GoldenServer, asked: Asked, saved: Map<string, unknown>): Promise<Answer> {
  const { request, as, headers, frames, anonymous, save } = asked;
  const content = contentOf(asked, saved);
  const answer = await server.ask({
    request: fill(request, saved),
    ...(as ? { as } : {}),
    ...(headers ? { headers } : {}),
    ...(frames ? { frames } : {}),
    ...(anonymous ? { anonymous } : {}),
    ...(content ? { content } : {}),
  });
  if (save) saved.set(save, answer.body);
  return answer;
}

const where: readonly (readonly [string, (late?: boolean) => Promise<GoldenServer>])[] = GOLDEN_SERVER
  ? [[GOLDEN_SERVER, () => Promise.resolve(elsewhere(GOLDEN_SERVER, GOLDEN_TOKEN))]]
  : [
      ["in process", inProcess],
      ["over HTTPS", overHttps],
    ];

describe.each(where)("exchanges %s", (place, start) => {
  describe.each(files)("%s", (file) => {
    const family = readFamily(file);
    const saved = new Map<string, unknown>();
    const { normalise } = createNormaliser();
    const written: Exchange[] = [];
    let server: GoldenServer;

    beforeAll(async () => {
      server = await start(family.late);
      for (const request of family.setup ?? []) {
        const answer = await ask(server, request, saved);
        if (answer.status >= 300) throw new Error(`${request.request}: ${JSON.stringify(answer.body)}`);
      }
    });
    afterAll(async () => {
      await server.stop();
      if (GOLDEN_SERVER && GOLDEN_WRITE) writeFamily(file, { ...family, exchanges: written });
    });

    for (const [i, exchange] of family.exchanges.entries()) {
      // There is no authentication in process.
      if (exchange.anonymous && place === "in process") continue;
      const run = exchange.differs && !GOLDEN_SERVER ? it.fails : it;
      run(`${i} ${exchange.what}`, async () => {
        if (exchange.forget) await server.forget();
        const answer = normalise(await ask(server, exchange, saved), {
          managedFields: exchange.managedFields ?? false,
        });
        if (GOLDEN_WRITE) written.push({ ...exchange, answer });
        else expect(answer, `${exchange.request}\nfollows ${exchange.follows}`).toEqual(exchange.answer);
      });
    }
  });
});
