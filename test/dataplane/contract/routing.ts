import { expect, test } from "vitest";
import { match, poolsOf } from "../../../src/routing/index.ts";
import { send } from "../clients.ts";
import { eventually } from "../cluster.ts";
import { type Fixture, rule } from "../suite.ts";

export function routingContract(made: Fixture): void {
  test("leads a request to the Service's endpoint as it is", async () => {
    const cluster = await made.shop("a");
    const reply = await send(cluster, "/hello?x=1&y=%2e%2e", { method: "POST", body: "some text" });
    expect(reply.status).toBe(200);
    expect(JSON.parse(reply.body)).toMatchObject({
      name: "a",
      method: "POST",
      url: "/hello?x=1&y=%2e%2e",
      body: "some text",
    });
  });

  test("goes where the oracle says, for hosts and paths of every kind", async () => {
    const cluster = await made.cluster();
    for (const name of ["a", "b", "c", "d", "e"]) cluster.service(name, [await made.backend(name)]);
    cluster.addIngress("one", {
      defaultBackend: { service: { name: "e", port: { number: 80 } } },
      rules: [
        rule("a", { host: "foo.test", path: "/x" }),
        rule("b", { host: "foo.test", path: "/x", pathType: "Exact" }),
        rule("c", { host: "*.foo.test", path: "/x/y/" }),
        { ...rule("d", { path: "/d" }), host: "" },
      ].map(({ host, ...rest }) => (host ? { host, ...rest } : rest)),
    });
    await cluster.served();
    const model = cluster.ingress.current()?.model;
    if (!model) throw new Error("there is no model");
    const paths = ["/", "/x", "/x/", "/x/y", "/x/yy", "/X", "/d", "/d/e", "/x/../d", "/%78", "//x", "/x%2fy"];
    let compared = 0;
    for (const host of ["foo.test", "FOO.test:80", "a.foo.test", "a.b.foo.test", "other.test", "foo.test."])
      for (const path of paths) {
        const expected = match(model, { host, path });
        const reply = await send(cluster, path, { host });
        if (expected.outcome === "route") {
          expect([host, path, JSON.parse(reply.body).name, JSON.parse(reply.body).url]).toEqual([
            host,
            path,
            poolsOf(model, expected.route)[0]?.pool.service.name,
            expected.path,
          ]);
          compared++;
        } else expect([host, path, reply.status]).toEqual([host, path, expected.outcome === "refused" ? 400 : 404]);
      }
    expect(compared).toBeGreaterThan(60);
  });

  test("answers 404 where no rule matches, shortly and in plain text", async () => {
    const cluster = await made.shop("a");
    const reply = await send(cluster, "/", { host: "other.test" });
    expect(reply.status).toBe(404);
    expect(reply.headers["content-type"]).toContain("text/plain");
    expect(reply.body).toContain(reply.headers["x-request-id"]);
    expect((await send(cluster, "/", { host: "other.test", method: "HEAD" })).body).toBe("");
  });

  test("a route whose Service is missing gets 503, the others work, and it heals", async () => {
    const cluster = await made.shop("a");
    cluster.addIngress("late", { rules: [rule("late", { path: "/late" })] });
    await cluster.served();
    const reply = await send(cluster, "/late");
    expect(reply.status).toBe(503);
    expect(reply.headers["retry-after"]).toBeDefined();
    expect((await send(cluster, "/")).status).toBe(200);
    cluster.service("late", [await made.backend("late")]);
    await eventually("the Service is served", async () => (await send(cluster, "/late")).status === 200);
  });

  test("503 when no endpoint is ready, nor terminating and still serving", async () => {
    const cluster = await made.cluster();
    const [one, two] = [await made.backend("one"), await made.backend("two")];
    cluster.service("web", [
      { port: one.port, ready: false },
      { port: two.port, ready: false, terminating: true },
    ]);
    cluster.addIngress("web", { rules: [rule("web")] });
    await cluster.served();
    expect((await send(cluster, "/")).status).toBe(503);
  });

  test("an endpoint that is terminating and still serves gets requests only while none is ready (KEP-1669)", async () => {
    const cluster = await made.cluster();
    const [one, two] = [await made.backend("one"), await made.backend("two")];
    const nameOf = async () => JSON.parse((await send(cluster, "/")).body).name as string;
    cluster.service("web", [
      { port: one.port, ready: false },
      { port: two.port, terminating: true },
    ]);
    cluster.addIngress("web", { rules: [rule("web")] });
    await cluster.served();
    expect(await nameOf()).toBe("two");
    cluster.endpoints("web", [{ port: one.port }, { port: two.port, terminating: true }]);
    await eventually("the ready endpoint is asked", async () => (await nameOf()) === "one");
    for (let i = 0; i < 20; i++) expect(await nameOf()).toBe("one");
  });

  test("spreads requests over all ready endpoints", async () => {
    const cluster = await made.cluster();
    const names = ["one", "two", "three"];
    cluster.service("web", await Promise.all(names.map((name) => made.backend(name))));
    cluster.addIngress("web", { rules: [rule("web")] });
    await cluster.served();
    const counts = new Map<string, number>();
    for (let i = 0; i < 30; i++) {
      const replies = await Promise.all(Array.from({ length: 10 }, () => send(cluster, "/")));
      for (const reply of replies) {
        const { name } = JSON.parse(reply.body) as { name: string };
        counts.set(name, (counts.get(name) ?? 0) + 1);
      }
    }
    expect([...counts.keys()].sort()).toEqual([...names].sort());
    for (const count of counts.values()) expect(count).toBeGreaterThan(70);
  });

  test("an Ingress that goes takes its routes along", async () => {
    const cluster = await made.shop("a");
    const { resources } = await import("../../../src/kube/index.ts");
    cluster.client.remove(resources.Ingress, { namespace: "shop", name: "web" });
    await eventually("the route is gone", async () => (await send(cluster, "/")).status === 404);
  });
}
