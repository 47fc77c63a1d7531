// What runs in the demo's visiting pods: one GET of the URL given, with the name looked up as any program in a pod would.
// Prints {status, by, milliseconds} on one line. Usage: visitor.js URL [DNS-ADDRESS:PORT]
//
// Without root a pod shares the machine's files, so its resolv.conf is the machine's: there the cluster's DNS server is given.
import { get, lookUp } from "./requests.ts";

const [url = "", server] = process.argv.slice(2);

async function addressOf(hostname: string): Promise<string | undefined> {
  if (!server) return undefined;
  const [address = "", port] = server.split(":");
  const { by } = await lookUp({ address, port: Number(port) }, "A", hostname);
  return by.split(" ")[0];
}

const started = performance.now();
const address = await addressOf(new URL(url).hostname);
const answer = await get(address === undefined ? { url } : { url, address });
process.stdout.write(`${JSON.stringify({ ...answer, milliseconds: performance.now() - started })}\n`);
