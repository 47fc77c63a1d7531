import { describe, expect, test } from "vitest";
import { defaultProxySettings, parseBindAddress, readProxySettings } from "./proxy-settings.ts";

const settingsOf = (given: Record<string, unknown>, file?: Record<string, unknown>) =>
  readProxySettings(given, file).settings;

describe("settings of the proxy", () => {
  test("flags win over the file, and the file over the defaults", () => {
    const file = { proxyMode: "iptables", clusterCidr: "10.1.0.0/16,fd00:1::/64", v: 2 };
    expect(settingsOf({ proxyMode: "userspace" }, file)).toEqual({
      ...defaultProxySettings,
      proxyMode: "userspace",
      clusterCidr: ["10.1.0.0/16", "fd00:1::/64"],
      v: 2,
    });
  });

  test.each([
    [{ proxyMode: "ipvs" }, "--proxy-mode", "ipvs is not served"],
    [{ clusterCidr: "10.1.0.0" }, "--cluster-cidr", "give CIDRs"],
    [{ clusterCidr: "10.1.0.0/33" }, "--cluster-cidr", "give CIDRs"],
    [{ nodeportAddresses: ["secondary"] }, "--nodeport-addresses", "give primary, or CIDRs"],
    [{ healthzBindAddress: "everywhere" }, "--healthz-bind-address", "give ADDRESS:PORT"],
    [{ metricsBindAddress: "10.0.0.1:70000" }, "--metrics-bind-address", "give ADDRESS:PORT"],
    [{ hostnameOverride: "a b" }, "--hostname-override", "name of a Node"],
    [{ detectLocalMode: "Magic" }, "--detect-local-mode", "use ClusterCIDR"],
    [{ detectLocalMode: "BridgeInterface" }, "--detect-local-mode", "give --pod-bridge-interface with it"],
    [{ podBridgeInterface: "a/b" }, "--pod-bridge-interface", "name of a network interface"],
    [{ v: "11" }, "--v", "from 0 to 10"],
  ])("%j is refused by name", (given, field, remedy) => {
    expect(() => readProxySettings(given)).toThrow(field);
    try {
      readProxySettings(given);
    } catch (error) {
      expect((error as { remedy?: string }).remedy).toContain(remedy);
    }
  });

  test("a field that is unknown is refused", () => {
    expect(() => readProxySettings({}, { proxymode: "iptables" })).toThrow('unknown field "proxymode"');
  });

  test("addresses without a port get kube-proxy's, and an empty one serves nothing", () => {
    expect(settingsOf({ healthzBindAddress: "0.0.0.0" }).healthzBindAddress).toBe("0.0.0.0:10256");
    expect(settingsOf({ metricsBindAddress: "::1" }).metricsBindAddress).toBe("[::1]:10249");
    expect(settingsOf({ metricsBindAddress: "" }).metricsBindAddress).toBe("");
    expect(parseBindAddress(":8080")).toEqual({ address: "0.0.0.0", port: 8080 });
    expect(parseBindAddress("[2001:db8::1]:80")).toEqual({ address: "2001:db8::1", port: 80 });
    for (const text of ["", "::1:80", "host:80", "1.2.3.4", "1.2.3.4:0"])
      expect(parseBindAddress(text)).toBeUndefined();
  });

  test("a KubeProxyConfiguration is read as kubeadm writes it, and what has no effect is told", () => {
    const file = {
      apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
      kind: "KubeProxyConfiguration",
      bindAddress: "0.0.0.0",
      clientConnection: {
        acceptContentTypes: "",
        burst: 0,
        contentType: "",
        kubeconfig: "/var/lib/kube-proxy/kubeconfig.conf",
        qps: 0,
      },
      clusterCIDR: "10.244.0.0/16",
      configSyncPeriod: "0s",
      conntrack: { maxPerCore: null, min: null, tcpCloseWaitTimeout: null, tcpEstablishedTimeout: null },
      detectLocal: { bridgeInterface: "", interfaceNamePrefix: "" },
      detectLocalMode: "",
      enableProfiling: false,
      healthzBindAddress: "",
      hostnameOverride: "",
      iptables: { masqueradeAll: true, masqueradeBit: null, minSyncPeriod: "0s", syncPeriod: "0s" },
      ipvs: { excludeCIDRs: null, scheduler: "" },
      metricsBindAddress: "0.0.0.0:10249",
      mode: "iptables",
      nodePortAddresses: null,
      oomScoreAdj: null,
      showHiddenMetricsForVersion: "",
      winkernel: { enableDSR: false },
    };
    const { settings, notes } = readProxySettings({}, file);
    expect(settings).toEqual({
      ...defaultProxySettings,
      kubeconfig: "/var/lib/kube-proxy/kubeconfig.conf",
      clusterCidr: ["10.244.0.0/16"],
      proxyMode: "iptables",
      masqueradeAll: true,
      healthzBindAddress: "0.0.0.0:10256",
      metricsBindAddress: "0.0.0.0:10249",
    });
    expect(notes).toContain("bindAddress of the KubeProxyConfiguration has no effect here");
    expect(notes).not.toContain("oomScoreAdj of the KubeProxyConfiguration has no effect here");
    expect(() => readProxySettings({}, { ...file, modes: 1 })).toThrow('unknown field "modes"');
  });
});
