import { describe, expect, test } from "vitest";
import { defaultLimits } from "../embedded/limits.ts";
import { configurationText, type NginxListener, type NginxSettings } from "./configuration.ts";
import { word } from "./directives.ts";
import type { NginxStream } from "./stream-configuration.ts";

const settings: NginxSettings = {
  directory: "/run/fairlead/nginx",
  master: 0,
  listeners: [
    { id: "l0", places: [{ address: "127.0.0.1", port: 8080 }], secure: false, clientPort: 80 },
    {
      id: "l1",
      places: ["127.0.0.1", "::1"].map((address) => ({ address, port: 8443 })),
      secure: true,
      clientPort: 443,
    },
  ],
  generation: 7,
  trustedForwarders: ["10.0.0.0/8", "fd00::/8"],
  limits: defaultLimits,
  workers: 2,
  modules: ["/usr/lib/nginx/modules/ngx_http_lua_module.so"],
  memory: 1 << 20,
};

describe("configurationText", () => {
  test("has a server for each port, and its number", () => {
    const text = configurationText(settings);
    expect(text).toContain("listen 127.0.0.1:8080 backlog=4096;");
    expect(text).toContain("listen 127.0.0.1:8443 backlog=4096 ssl http2;");
    expect(text).toContain('return 200 "7";');
    expect(text).toContain("set_real_ip_from fd00::/8;");
    expect(text).toContain("listen [::1]:8443 backlog=4096 ssl http2;");
  });

  test("streams: none without a port for them; a test of the text takes nothing from who serves", () => {
    expect(configurationText(settings)).not.toContain("\nstream {");
    const places = [{ address: "127.0.0.1", port: 53 }];
    const streams = [{ id: "l2", places, protocol: "UDP" as const, told: false, ends: false }];
    expect(configurationText({ ...settings, streams })).toContain("listen 127.0.0.1:53 udp reuseport;");
    expect(configurationText({ ...settings, streams, trial: true })).toContain("listen 127.0.0.1:53 udp;");
    const [stream] = streams;
    for (const bad of [{ id: "l2;" }, { places: [{ address: "127.0.0.1 ssl", port: 53 }] }])
      expect(() => configurationText({ ...settings, streams: [{ ...stream, ...bad } as NginxStream] })).toThrow(
        TypeError,
      );
  });

  test("endpoints that are checked have locations of their own, by a file that is named by letters and digits alone", () => {
    const [first] = settings.listeners;
    const text = (authorities: string): string =>
      configurationText({
        ...settings,
        listeners: [{ ...first, ways: [{ authorities, kind: "full", slot: "b3" }] } as NginxListener],
      });
    expect(text("0a1b")).toContain("proxy_ssl_trusted_certificate /run/fairlead/nginx/private/authorities-0a1b.pem;");
    expect(text("0a1b")).toContain('location = "/\u0001full/c0a1b/b3"');
    expect(() => text("0a;")).toThrow(TypeError);
  });

  test("drops every form of the header fields that only we write", () => {
    const text = configurationText(settings);
    for (const name of ["x_forwarded_for", "x-forwarded_for", "x_forwarded-for", "x_real_ip", "x_request-id"])
      expect(text).toContain(`proxy_set_header ${name} "";`);
  });

  test.each([
    { directory: "/tmp/a b" },
    { directory: "/tmp/a;error_log /etc/x" },
    { directory: "/tmp/$host" },
    { directory: '/tmp/"' },
    { user: "nobody; load_module x" },
    { modules: ["/x\n"] },
    { trustedForwarders: ["0.0.0.0/0; deny all"] },
    { listeners: [{ id: "l0", places: [{ address: "127.0.0.1 ssl", port: 80 }], secure: false, clientPort: 80 }] },
    { listeners: [{ id: 'l0")', places: [{ address: "::", port: 80 }], secure: false, clientPort: 80 }] },
    { listeners: [{ id: "l0", places: [{ address: "::", port: 80.5 }], secure: false, clientPort: 80 }] },
    { listeners: [{ id: "l0", places: [{ address: "::", port: 0 }], secure: false, clientPort: 80 }] },
  ] as Partial<NginxSettings>[])("refuses what could mean something to nginx: %j", (bad) => {
    expect(() => configurationText({ ...settings, ...bad })).toThrow(TypeError);
  });

  test("a word is one word", () => {
    for (let code = 0; code < 256; code++) {
      const sign = String.fromCharCode(code);
      if (/[A-Za-z0-9_./:@-]/.test(sign)) expect(word(`a${sign}`)).toBe(`a${sign}`);
      else expect(() => word(`a${sign}`)).toThrow(TypeError);
    }
  });
});
