import { expect, test } from "vitest";
import { readSettings } from "./settings.ts";

test("the image's own defaults", () => {
  expect(readSettings({})).toMatchObject({ mode: "http", httpPort: 3000, h2cPort: 3001, tlsPort: 8443, udpPort: 8080 });
});

test("what it serves, and the ports of that", () => {
  expect(readSettings({ GRPC_ECHO_SERVER: "1", HTTP_PORT: "50051" })).toMatchObject({ mode: "grpc", httpPort: 50_051 });
  expect(readSettings({ TCP_ECHO_SERVER: "1", TCP_PORT: "9", TLS_PORT: "10" })).toMatchObject({
    mode: "tcp",
    httpPort: 9,
    tlsPort: 10,
  });
  expect(readSettings({ UDP_ECHO_SERVER: "1", UDP_PORT: "53" })).toMatchObject({ mode: "udp", udpPort: 53 });
});

test("TLS needs both files; the key's variable has two spellings", () => {
  expect(readSettings({ TLS_SERVER_CERT: "c" })).not.toHaveProperty("certificate");
  expect(readSettings({ TLS_SERVER_CERT: "c", TLS_SERVER_PRIVKEY: "k" })).toMatchObject({ certificate: "c", key: "k" });
  const tcp = { TCP_ECHO_SERVER: "1", TLS_SERVER_CERT: "c", TLS_SERVER_PRIV_KEY: "k" };
  expect(readSettings(tcp)).toMatchObject({ certificate: "c", key: "k" });
});

test("a port that is none is named", () => {
  expect(() => readSettings({ H2C_PORT: "x" })).toThrow("H2C_PORT=x");
});
