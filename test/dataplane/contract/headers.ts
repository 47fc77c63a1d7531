import { expect, test } from "vitest";
import { send } from "../clients.ts";
import { type Fixture, rule } from "../suite.ts";

type Received = { headers: Record<string, string> };

export function headersContract(made: Fixture): void {
  test("tells the backend about the client, and overwrites what the client says of itself", async () => {
    const cluster = await made.shop("a");
    const reply = await send(cluster, "/", {
      host: "shop.test:1234",
      headers: {
        "x-forwarded-for": "6.6.6.6",
        "x-forwarded-proto": "https",
        "x-forwarded-host": "evil.test",
        "x-forwarded-port": "1",
        "x-real-ip": "6.6.6.6",
        forwarded: "for=6.6.6.6",
        "x-forwarded-scheme": "evil",
        "x-scheme": "evil",
        "X_Forwarded-Scheme": "evil",
        x_forwarded_for: "6.6.6.6",
        "X-Real_IP": "6.6.6.6",
      },
    });
    const { headers } = JSON.parse(reply.body) as Received;
    expect(headers).toMatchObject({
      host: "shop.test:1234",
      "x-forwarded-for": "127.0.0.1",
      "x-forwarded-proto": "http",
      "x-forwarded-host": "shop.test:1234",
      "x-forwarded-port": String(cluster.port("http")),
      "x-real-ip": "127.0.0.1",
    });
    expect(headers["x-request-id"]).toMatch(/^[\w-]{16,}$/);
    expect(JSON.stringify(headers)).not.toContain("6.6.6.6");
    expect(JSON.stringify(headers)).not.toContain("evil");
  });

  test("each request has an id of its own", async () => {
    const cluster = await made.shop("a");
    const ids = new Set<string | undefined>();
    for (let i = 0; i < 50; i++)
      ids.add((JSON.parse((await send(cluster, "/")).body) as Received).headers["x-request-id"]);
    expect(ids.size).toBe(50);
    expect(ids).not.toContain(undefined);
  });

  test("says who answers where the backend does not, once", async () => {
    const cluster = await made.shop("a", (request, response) => {
      if (request.url === "/named") response.setHeader("server", "teapot");
      response.writeHead(request.url === "/missing" ? 404 : 200).end();
    });
    const said = async (path: string) => {
      const { rawHeaders } = await send(cluster, path);
      return rawHeaders.filter((_, index) => index % 2 === 1 && rawHeaders[index - 1]?.toLowerCase() === "server");
    };
    expect([await said("/"), await said("/missing"), await said("/named")]).toEqual([
      ["fairlead"],
      ["fairlead"],
      ["teapot"],
    ]);
  });

  test("continues the list of a trusted forwarder", async () => {
    const cluster = await made.cluster({ trustedForwarders: ["127.0.0.0/8", "10.0.0.0/8"] });
    cluster.service("web", [await made.backend("a")]);
    cluster.addIngress("web", { rules: [rule("web")] });
    await cluster.served();
    const reply = await send(cluster, "/", {
      headers: {
        "x-forwarded-for": "6.6.6.6, 9.9.9.9, 10.1.1.1",
        "x-forwarded-proto": "https",
        "x-forwarded-scheme": "evil",
        X_Scheme: "evil",
      },
    });
    expect(reply.body).not.toContain("evil");
    expect((JSON.parse(reply.body) as Received).headers).toMatchObject({
      "x-forwarded-for": "6.6.6.6, 9.9.9.9, 10.1.1.1, 127.0.0.1",
      "x-real-ip": "9.9.9.9",
      "x-forwarded-proto": "https",
    });
  });

  test("keeps a request id that a client gives, when it is harmless", async () => {
    const cluster = await made.shop("a");
    const received = async (id: string) =>
      (JSON.parse((await send(cluster, "/", { headers: { "x-request-id": id } })).body) as Received).headers[
        "x-request-id"
      ];
    expect(await received("abc-123")).toBe("abc-123");
    expect(await received("<script>")).not.toContain("script");
  });

  test("removes what is meant for one connection, but never its own headers", async () => {
    const cluster = await made.shop("a");
    const reply = await send(cluster, "/", {
      headers: {
        connection: "keep-alive, x-hop, x-forwarded-for, x-request-id",
        "x-hop": "1",
        "keep-alive": "timeout=9",
        "proxy-authorization": "Basic x",
        "proxy-connection": "keep-alive",
        proxy: "http://evil.test:3128",
        te: "trailers, deflate",
        "x-stays": "1",
      },
    });
    const { headers } = JSON.parse(reply.body) as Received;
    for (const name of ["x-hop", "keep-alive", "proxy-authorization", "proxy-connection", "proxy"])
      expect(headers).not.toHaveProperty(name);
    expect(headers).toMatchObject({ "x-stays": "1", "x-forwarded-for": "127.0.0.1", te: "trailers" });
    expect(headers["x-request-id"]).toBeDefined();
  });

  test("passes on all fields of the answer, also those that come twice, and removes those of the connection", async () => {
    const cluster = await made.shop("a", (_request, response) => {
      response.writeHead(201, "Made", [
        ["Set-Cookie", "a=1"],
        ["Set-Cookie", "b=2"],
        ["X-Case-Kept", "yes"],
        ["Connection", "x-gone"],
        ["X-Gone", "1"],
        ["Content-Length", "2"],
      ] as never);
      response.end("ok");
    });
    const reply = await send(cluster, "/");
    expect(reply.status).toBe(201);
    expect(reply.headers["set-cookie"]).toEqual(["a=1", "b=2"]);
    // Names have no case (RFC 9110 section 5.1): a data plane may keep it or not.
    expect(reply.headers["x-case-kept"]).toBe("yes");
    expect(reply.headers).not.toHaveProperty("x-gone");
    expect(reply.headers["content-length"]).toBe("2");
    expect(reply.body).toBe("ok");
  });
}
