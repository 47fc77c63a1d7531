import { describe, expect, it } from "vitest";
import { CliError } from "./errors.ts";
import { defaultSettings, readSettings, splitWords } from "./settings.ts";

describe("readSettings", () => {
  it("gives the defaults when nothing is said", () => {
    expect(readSettings({})).toEqual(defaultSettings);
  });

  it("lets a flag win over the file, and the file over the default", () => {
    const settings = readSettings({ apiPort: "7443" }, { apiPort: 8443, nodes: 3 });
    expect(settings).toMatchObject({ apiPort: 7443, nodes: 3, httpPort: 80 });
  });

  it("reads images from flags and from a map", () => {
    expect(readSettings({ images: ["nginx:1.27=/usr/sbin/nginx -g 'daemon off;'"] }).images).toEqual({
      "nginx:1.27": ["/usr/sbin/nginx", "-g", "daemon off;"],
    });
    expect(readSettings({}, { images: { app: ["node", "a b.js"] } }).images).toEqual({ app: ["node", "a b.js"] });
  });

  it("reads address pools as CIDRs, ranges and single addresses", () => {
    expect(readSettings({ lbPool: ["10.97.0.0/24", "10.98.0.1-10.98.0.9", "10.99.0.1"] }).lbPool).toEqual([
      "10.97.0.0/24",
      "10.98.0.1-10.98.0.9",
      "10.99.0.1/32",
    ]);
  });

  it("reads ranges of one family or of two, in any order", () => {
    for (const serviceCidr of [
      "10.96.0.0/16",
      "fd00:10:96::/112",
      "10.96.0.0/16,fd00::/112",
      "fd00::/112,10.96.0.0/16",
    ])
      expect(readSettings({ serviceCidr }).serviceCidr).toEqual(serviceCidr.split(","));
  });

  it.each([
    [{ serviceCidr: "fd00::/112,fd01::/112" }, "--service-cidr"],
    [{ serviceCidr: "" }, "--service-cidr"],
    [{ clusterCidr: "fd00::/96" }, "--cluster-cidr"],
    [{ apiPort: "http" }, "--api-port"],
    [{ httpPort: 70_000 }, "--http-port"],
    [{ httpsPort: "" }, "--https-port"],
    [{ nodes: 0 }, "--nodes"],
    [{ nodes: 1.5 }, "--nodes"],
    [{ proxyMode: "ipvs" }, "--proxy-mode"],
    [{ lbPool: "10.97.0.0/33" }, "--lb-pool"],
    [{ lbPool: "10.97.0.9-10.97.0.1" }, "--lb-pool"],
    [{ lbPool: "ten" }, "--lb-pool"],
    [{ store: "redis" }, "--store"],
    [{ images: "nginx" }, "--image"],
    [{ images: "nginx=" }, "--image nginx"],
    [{ rootless: "yes" }, "--rootless"],
  ])("refuses %o and names the flag", (given, flag) => {
    expect(() => readSettings(given)).toThrow(CliError);
    expect(() => readSettings(given)).toThrow(flag);
  });

  it("refuses an unknown field of the file", () => {
    expect(() => readSettings({}, { node: 3 })).toThrow('unknown field "node"');
  });
});

describe("splitWords", () => {
  it("holds quoted words together and knows no shell", () => {
    expect(splitWords(`a "b c" 'd e' $HOME ;`)).toEqual(["a", "b c", "d e", "$HOME", ";"]);
  });
});
