import { createHash } from "node:crypto";

/** What a cookie names an endpoint by: the same on every data plane, so that a client keeps its endpoint when they change places. */
export function endpointId(address: string, port: number): string {
  return createHash("sha256").update(`${address} ${port}`).digest("hex").slice(0, 32);
}
