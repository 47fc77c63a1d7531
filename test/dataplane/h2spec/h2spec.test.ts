// h2spec (github.com/summerwind/h2spec), unchanged, against each data plane: RFC 7540 and 7541 case by case. What fails is known, and why. ABUSE=full
// for all three; else HAProxy alone, where nothing waits (`npm run abuse:dataplane`).
import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type DataPlaneName, missingFor, startDataPlane } from "../../../src/dataplane/index.ts";
import { runOrThrow, systemCommands } from "../../../src/system/index.ts";
import { missing } from "../../clients/toolchains.ts";
import { embeddedProgram } from "../../support/embedded-program.ts";
import { repository } from "../../support/lab.ts";
import { eventually, startBackend } from "../cluster.ts";
import { fixture } from "../suite.ts";

const malformed = "a request that is no good is answered with 400 in the place of a reset stream (section 8.1.1)";
const anySize =
  "it takes frames of any size (SETTINGS_MAX_FRAME_SIZE is 2^24 - 1), so none is too large; flow control bounds them";
const unopened =
  "nginx does not tell streams that were never opened from those that it has forgotten, and ignores frames of both";
const forgotten =
  "frames of streams that are closed and forgotten are ignored: to make them an error is left to who gets them (section 5.1)";

/** Cases that fail, by section and what they ask for, with the reason; sections in it are those of RFC 9113, which has taken the place of RFC 7540. */
const known: Readonly<Record<DataPlaneName, Readonly<Record<string, string>>>> = {
  // Node.js' own layer, by nghttp2.
  embedded: {
    "http2/5.1: closed: Sends a DATA frame after sending RST_STREAM frame": forgotten,
    "http2/5.1: closed: Sends a HEADERS frame after sending RST_STREAM frame": forgotten,
    "http2/5.1: closed: Sends a DATA frame": forgotten,
    "http2/5.1: closed: Sends a HEADERS frame": forgotten,
    "http2/5.1.1: Sends stream identifier that is numerically smaller than previous":
      "a stream that was passed over is closed (section 5.1.1), and what comes for it is ignored as for any such one",
    "http2/6.7: Sends a PING frame with ACK":
      "an answer to a PING that nobody sent ends the connection: no client has a reason to send one",
    "http2/6.9.1: Sends multiple WINDOW_UPDATE frames increasing the flow control window to above 2^31-1":
      "the connection ends with GOAWAY as it must, but of another code than FLOW_CONTROL_ERROR",
  },
  haproxy: {},
  nginx: {
    "generic/4: Sends a POST request with trailers": "1.22 knows no trailers of requests, and ends the connection",
    "http2/4.2: Sends a DATA frame with 2^14 octets in length": anySize,
    "http2/4.2: Sends a large size DATA frame that exceeds the SETTINGS_MAX_FRAME_SIZE": anySize,
    "http2/4.2: Sends a large size HEADERS frame that exceeds the SETTINGS_MAX_FRAME_SIZE": anySize,
    "http2/5.1: idle: Sends a DATA frame": unopened,
    "http2/5.1: idle: Sends a RST_STREAM frame": unopened,
    "http2/5.1: idle: Sends a WINDOW_UPDATE frame": unopened,
    "http2/5.1: closed: Sends a DATA frame after sending RST_STREAM frame": forgotten,
    "http2/5.1: closed: Sends a DATA frame": forgotten,
    "http2/6.4: Sends a RST_STREAM frame on a idle stream": unopened,
    "http2/8.1.2.1: Sends a HEADERS frame that contains a unknown pseudo-header field": malformed,
    "http2/8.1.2.1: Sends a HEADERS frame that contains the pseudo-header field defined for response": malformed,
    "http2/8.1.2.1: Sends a HEADERS frame that contains a pseudo-header field that appears in a header block after a regular header field":
      "nginx takes pseudo-header fields in any order, each once; nothing after it sees their order",
    "http2/8.1.2.2: Sends a HEADERS frame that contains the connection-specific header field": malformed,
    'http2/8.1.2.2: Sends a HEADERS frame that contains the TE header field with any value other than "trailers"':
      "any TE but `trailers` is left out of what the endpoint gets, and the request served",
    'http2/8.1.2.3: Sends a HEADERS frame with empty ":path" pseudo-header field': malformed,
    'http2/8.1.2.3: Sends a HEADERS frame that omits ":method" pseudo-header field': malformed,
    'http2/8.1.2.3: Sends a HEADERS frame that omits ":scheme" pseudo-header field': malformed,
    'http2/8.1.2.3: Sends a HEADERS frame that omits ":path" pseudo-header field': malformed,
    'http2/8.1.2.3: Sends a HEADERS frame with duplicated ":method" pseudo-header field': malformed,
    'http2/8.1.2.3: Sends a HEADERS frame with duplicated ":scheme" pseudo-header field': malformed,
    'http2/8.1.2.3: Sends a HEADERS frame with duplicated ":path" pseudo-header field': malformed,
    'http2/8.1.2.6: Sends a HEADERS frame with the "content-length" header field which does not equal the DATA frame payload length':
      malformed,
    'http2/8.1.2.6: Sends a HEADERS frame with the "content-length" header field which does not equal the sum of the multiple DATA frames payload length':
      malformed,
    "hpack/4.2: Sends a dynamic table size update at the end of header block":
      "nginx follows it where it stands: a header block means the same",
    "hpack/5.2: Sends a Huffman-encoded string literal representation with padding longer than 7 bits":
      "nginx takes padding of any length; what was sent means the same",
  },
};

const full = process.env["ABUSE"] === "full";
const noGo = await missing("go", ["version"], "apt-get install golang-go, or see go.dev");
const program = await embeddedProgram();
const cache = join(repository, ".cache", "h2spec");
const h2spec = join(cache, "h2spec");

describe.skipIf(noGo)(`h2spec${noGo ? ` (skipped: ${noGo})` : ""}`, () => {
  beforeAll(async () => {
    await mkdir(cache, { recursive: true });
    const build = ["-C", join(repository, "test/dataplane/h2spec/go"), "-o", h2spec];
    await runOrThrow(systemCommands, "go", ["build", ...build, "github.com/summerwind/h2spec/cmd/h2spec"], {
      timeout: 900_000,
    });
  }, 900_000);

  for (const name of ["embedded", "haproxy", "nginx"] satisfies DataPlaneName[])
    describe(name, async () => {
      const why = await missingFor(name);
      const left = why ?? (full || name === "haproxy" ? undefined : "its cases wait for 20 s; ABUSE=full");
      const made = fixture((options) => startDataPlane(name, { ...options, embeddedProgram: program, processes: 1 }));
      const backend = startBackend("a", (request, response) => {
        request.resume();
        request.on("end", () => response.end("ok"));
      });
      afterAll(async () => (await backend).close());

      test.skipIf(left !== undefined)(
        `${name} fails in what is known, and nothing else${left ? ` (skipped: ${left})` : ""}`,
        { timeout: 300_000 },
        async () => {
          const cluster = await made.cluster();
          cluster.service("web", [await backend]);
          // It asks for the address that it has been given.
          const paths = [
            { path: "/", pathType: "Prefix", backend: { service: { name: "web", port: { number: 80 } } } },
          ];
          cluster.addIngress("web", { rules: [{ http: { paths } }] });
          await cluster.served();
          const report = join(cache, `${name}.xml`);
          const port = String(cluster.port("https"));
          await systemCommands.run(h2spec, ["-h", "127.0.0.1", "-p", port, "-t", "-k", "-S", "-o", "1", "-j", report], {
            timeout: 280_000,
          });
          const { passed, failed } = resultsOf(await readFile(report, "utf8"));
          console.log(`${name}: ${passed} cases passed, ${failed.length} failed`);
          expect(passed).toBeGreaterThan(100);
          expect(failed.map(({ name: each }) => each).sort(), JSON.stringify(failed, undefined, 1)).toEqual(
            Object.keys(known[name]).sort(),
          );
          // It has survived all of that.
          await eventually("it serves", () => cluster.dataplane.listeners().every((each) => each.error === undefined));
        },
      );
    });
});

/** The results of a report of JUnit's form. */
function resultsOf(xml: string): { passed: number; failed: { name: string; said: string }[] } {
  let passed = 0;
  const failed: { name: string; said: string }[] = [];
  for (const [, attributes = "", closed, content = ""] of xml.matchAll(
    /<testcase\b([^>]*?)(?:(\/)>|>([\s\S]*?)<\/testcase>)/g,
  )) {
    const attribute = (of: string): string => new RegExp(`\\b${of}="([^"]*)"`).exec(attributes)?.[1] ?? "";
    const name = `${attribute("package")}: ${attribute("classname")}`.replaceAll("&#34;", '"');
    if (closed || !/<(?:failure|error)\b/.test(content)) passed++;
    else failed.push({ name, said: content.replaceAll(/\s+/g, " ").trim() });
  }
  return { passed, failed };
}
