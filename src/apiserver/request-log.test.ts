import { expect, it } from "vitest";
import { silentLogger, type Logger } from "../system/index.ts";
import { createRequestLog } from "./request-log.ts";
import { requestInfo } from "./request/request-info.ts";
import { objectResponse } from "./request/respond.ts";
import { startTestApi } from "./test-api.ts";

function keeping(): { log: Logger; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const log: Logger = {
    ...silentLogger,
    info: (fields, message) => void lines.push({ ...fields, message }),
    child: () => log,
  };
  return { log, lines };
}

const request = (url: string) => {
  const { pathname, searchParams } = new URL(url, "http://api");
  const { signal } = new AbortController();
  return { method: "GET" as const, path: pathname, query: searchParams, headers: {}, signal };
};

it("tells of slow requests, but not of watches, which take as long as they like", () => {
  const { log, lines } = keeping();
  const tell = createRequestLog(log, 0);
  for (const [url, took] of [
    ["/api/v1/pods", 10],
    ["/api/v1/nodes", 1500],
    ["/api/v1/pods?watch=1", 1500],
  ] as const) {
    const asked = request(url);
    tell(asked, requestInfo(asked), objectResponse(200, {}), took);
  }
  expect(lines).toEqual([
    {
      verb: "list",
      path: "/api/v1/nodes",
      user: "system:anonymous",
      code: 200,
      latency: 1500,
      message: "slow request",
    },
  ]);
});

it("tells of every request when asked to, and never a secret or a token", async () => {
  const { log, lines } = keeping();
  const api = await startTestApi({ more: { log, verbosity: 3 } });
  const secrets = "/api/v1/namespaces/default/secrets";
  const headers = { authorization: "Bearer geheim", "user-agent": "test" };
  await api.call(
    "POST",
    `${secrets}?token=geheim`,
    { metadata: { name: "s" }, stringData: { p: "geheim" } },
    { headers },
  );
  await api.call("GET", `${secrets}/s`);
  await api.stop();
  expect(lines.filter(({ message }) => message === "request")).toEqual(
    expect.arrayContaining([
      expect.objectContaining({ verb: "create", path: secrets, user: "admin", code: 201, userAgent: "test" }),
    ]),
  );
  expect(JSON.stringify(lines)).not.toMatch(/geheim|Z2VoZWlt/);
});
