import { expect, test } from "vitest";
import { gzipSync } from "node:zlib";
import { rewriteLinks } from "./links.ts";
import { rewriteLink } from "./proxy-path.ts";

const context = { prefix: "/api/v1/namespaces/default/services/web/proxy", backend: "10.0.0.7:8080", site: "api:6443" };

test.each([
  ["/a/b?x=1#y", "/api/v1/namespaces/default/services/web/proxy/a/b?x=1#y"],
  ["/dir/", "/api/v1/namespaces/default/services/web/proxy/dir/"],
  ["/", "/api/v1/namespaces/default/services/web/proxy/"],
  ["http://10.0.0.7:8080/login", "/api/v1/namespaces/default/services/web/proxy/login"],
  ["https://api:6443/login", "https://api:6443/api/v1/namespaces/default/services/web/proxy/login"],
  ["https://example.com/login", "https://example.com/login"],
  ["relative/page", "relative/page"],
  ["mailto:a@b", "mailto:a@b"],
  ["#top", "#top"],
  ["/api/v1/namespaces/default/services/web/proxy/a", "/api/v1/namespaces/default/services/web/proxy/a"],
])("%s leads to %s", (link, expected) => {
  expect(rewriteLink(link, context)).toBe(expected);
});

async function rewritten(pieces: readonly Buffer[], encoding?: string): Promise<string> {
  async function* chunks(): AsyncGenerator<Uint8Array> {
    yield* pieces;
  }
  const out: Uint8Array[] = [];
  for await (const chunk of rewriteLinks(chunks(), encoding, (link) => `[${link}]`)) out.push(chunk);
  return Buffer.concat(out).toString();
}

const page = `<!doctype html><!-- <a href="/no"> --><a class=x href="/a?b=1&amp;c=2">ä</a><img src=/i.png alt='>'>
<script src='/s.js'>if (a<b) "<a href='/no'>"</script><form action="/f"></form><p href="/no">1 < 2</p>`;
const expected = `<!doctype html><!-- <a href="/no"> --><a class=x href="[/a?b=1&amp;c=2]">ä</a><img src=[/i.png] alt='>'>
<script src='[/s.js]'>if (a<b) "<a href='/no'>"</script><form action="[/f]"></form><p href="/no">1 < 2</p>`;

test("links of a page are changed, whatever pieces it comes in; comments and scripts are left alone", async () => {
  const bytes = Buffer.from(page);
  for (const size of [1, 2, 3, 7, 50, bytes.length]) {
    const pieces = Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) =>
      bytes.subarray(i * size, (i + 1) * size),
    );
    expect(await rewritten(pieces)).toBe(expected);
  }
});

test("a compressed page comes out plain", async () => {
  expect(await rewritten([gzipSync(page)], "gzip")).toBe(expected);
});
